# SPDX-License-Identifier: GPL-2.0-only
"""Expectations of claims: "== 64", "!= 0", "< 10", ">= 2M", "7..8"."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache

from thplab.scenario.units import parse_size

__all__ = ["parse_condition"]

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


@lru_cache(maxsize=1024)
def parse_condition(text: str) -> Callable[[int], bool]:
    """A function that tells whether a figure is as `text` says.

    Raises:
        ValueError: `text` is not a condition.
    """
    if match := _COMPARED.fullmatch(text):
        compare, bound = _OPERATORS[match[1]], _number(match[2])
        return lambda figure: compare(figure, bound)
    if match := _RANGE.fullmatch(text):
        lowest, highest = _number(match[1]), _number(match[2])
        if lowest > highest:
            raise ValueError(f"the range runs backwards; write {match[2]}..{match[1]}")
        return lambda figure: lowest <= figure <= highest
    raise ValueError('an expectation is like "== 64", "!= 0", "< 10", ">= 2M" or "7..8"')


def _number(text: str) -> int:
    magnitude = text.removeprefix("-")
    number = int(magnitude) if magnitude.isdigit() else parse_size(magnitude)
    return -number if text.startswith("-") else number
