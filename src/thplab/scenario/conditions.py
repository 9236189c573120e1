# SPDX-License-Identifier: GPL-2.0-only
"""What a claim expects: a condition ("== 64", "!= 0", "< 10", ">= 2M", "7..8"), for every design or for each."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Self

from thplab.scenario.naming import quoted
from thplab.scenario.units import parse_size
from thplab.scenario.written import Written

__all__ = ["Condition", "Expectation"]

_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBER = r"-?[0-9]{1,18}(?:\.[0-9]{1,9})?[KMGT]?"
_COMPARED = re.compile(rf"(==|!=|<=|>=|<|>) ?({_NUMBER})", re.ASCII)
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})", re.ASCII)
_WHOSE = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,255}|[0-9]{1,3}\.[0-9]{1,3}|\*", re.ASCII)


class Condition:
    """What one figure must be.

    Attributes:
        text: as in the file.
        holds: whether a figure meets it.
    """

    __slots__ = ("holds", "text")

    def __init__(self, text: str, holds: Callable[[int], bool]) -> None:
        self.text = text
        self.holds = holds

    def __str__(self) -> str:
        return self.text


class Expectation(Written):
    """The conditions of a claim, by design, by release ("6.12"), or "*" for any other.

    Attributes:
        conditions: by design or release; one text for all is the condition of "*".
    """

    __slots__ = ("_written", "conditions")

    def __init__(self, written: object, conditions: Mapping[str, Condition]) -> None:
        self._written = written
        self.conditions = conditions

    @classmethod
    def parse(cls, value: object) -> Self:
        """One condition, or a table of them.

        Raises:
            ValueError: it is empty, a name cannot be that of a design or a release, or a text is no condition.
        """
        table = {"*": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            raise ValueError(f"cannot expect {quoted(value)}; {_FORMS}")  # noqa: TRY004
        if not table:
            raise ValueError('expect is empty; give a condition for a design, or for "*"')
        for whose in table:
            if not _WHOSE.fullmatch(whose):
                raise ValueError(
                    f"{quoted(whose)} cannot be the name of a design; give the name of a design, "
                    'a release, "file.py:Class", or "*" for any other'
                )
        return cls(value, {whose: _condition(text) for whose, text in table.items()})

    def of(self, design: str, release: str) -> Condition | None:
        """The condition of a design on a release; None: the claim says nothing about it.

        A condition of the release goes before one of the design, and that before "*".
        """
        for whose in (release, design, "*"):
            if whose in self.conditions:
                return self.conditions[whose]
        return None

    def written(self) -> object:
        """The text or the table."""
        return self._written

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """A text, or a table of texts."""
        text = {"type": "string", "pattern": f"^({_COMPARED.pattern}|{_RANGE.pattern})$"}
        return {"anyOf": [text, {"type": "object", "additionalProperties": text}]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expectation) and self._written == other._written

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        if isinstance(self._written, str):
            return self._written
        return ", ".join(f"{whose}: {one}" for whose, one in self.conditions.items())


_FORMS = 'an expectation is like "== 64", "!= 0", "< 10", ">= 2M" or "7..8"'


@lru_cache(maxsize=1024)
def _condition(text: object) -> Condition:
    if not isinstance(text, str):
        raise ValueError(f"cannot expect {quoted(text)}; {_FORMS}")  # noqa: TRY004
    try:
        return Condition(text, _test(text))
    except ValueError as error:
        raise ValueError(f"cannot expect {quoted(text)}; {error}") from None


def _test(text: str) -> Callable[[int], bool]:
    if match := _COMPARED.fullmatch(text):
        compare, bound = _OPERATORS[match[1]], _number(match[2])
        return lambda figure: compare(figure, bound)
    if match := _RANGE.fullmatch(text):
        lowest, highest = _number(match[1]), _number(match[2])
        if lowest > highest:
            raise ValueError(f"the range runs backwards; write {match[2]}..{match[1]}")
        return lambda figure: lowest <= figure <= highest
    raise ValueError(_FORMS)


def _number(text: str) -> int:
    magnitude = text.removeprefix("-")
    number = int(magnitude) if magnitude.isdigit() else parse_size(magnitude)
    return -number if text.startswith("-") else number
