# SPDX-License-Identifier: GPL-2.0-only
"""The `part` of a step: which base pages of each huge page it acts on, as a bit mask.

>>> Part.parse("first page of each huge page").mask
1
>>> Part.parse("pages 4-7 of each huge page").mask
240
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Self

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.scenario.naming import quoted
from thplab.scenario.written import Written

__all__ = ["PARTS", "Part"]

_HALF = (1 << HPAGE_PMD_NR // 2) - 1
_EACH = " of each huge page"

_FIXED = {
    "all": FULL_MASK,
    "upper half" + _EACH: FULL_MASK & ~_HALF,
    "lower half" + _EACH: _HALF,
    "first page" + _EACH: 1,
    "all but the first page" + _EACH: FULL_MASK & ~1,
}
_ONE = re.compile(rf"page ([0-9]{{1,3}}){_EACH}", re.ASCII)
_SPAN = re.compile(rf"pages ([0-9]{{1,3}})-([0-9]{{1,3}}){_EACH}", re.ASCII)

PARTS = (*_FIXED, "page 7" + _EACH, "pages 16-31" + _EACH)
"""An example of each form of a part."""


class Part(Written):
    """A part of each huge page.

    Attributes:
        text: as in the file.
        mask: bit i stands for base page i of each huge page. Every form is one run of pages.
    """

    __slots__ = ("mask", "text")

    def __init__(self, text: str, mask: int) -> None:
        self.text = text
        self.mask = mask

    @classmethod
    def parse(cls, value: object) -> Self:
        """The part that a text names.

        Raises:
            ValueError: it has none of the forms, or a page is not below HPAGE_PMD_NR.
        """
        if not isinstance(value, str):
            raise ValueError(f"a part is text; {_forms()}")  # noqa: TRY004 -- what msgspec explains
        return cls(value, _mask(value))

    def written(self) -> str:
        """The text."""
        return self.text

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The fixed forms, and a pattern for those with page numbers."""
        numbered = rf"^pages? [0-9]{{1,3}}(-[0-9]{{1,3}})?{_EACH}$"
        return {"anyOf": [{"enum": list(_FIXED)}, {"type": "string", "pattern": numbered}]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Part) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Part({self.text!r})"

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=256)
def _mask(text: str) -> int:
    fixed = _FIXED.get(text)
    if fixed is not None:
        return fixed
    if match := _ONE.fullmatch(text):
        first = last = int(match[1])
    elif match := _SPAN.fullmatch(text):
        first, last = int(match[1]), int(match[2])
    else:
        raise ValueError(f"there is no part {quoted(text)}; {_forms()}")
    if last >= HPAGE_PMD_NR:
        remedy = f"the pages of a huge page are 0 to {HPAGE_PMD_NR - 1}"
    elif first > last:
        remedy = f"pages {first}-{last} run backwards; write {last}-{first}"
    else:
        return (1 << last + 1) - (1 << first)
    raise ValueError(f"there is no part {quoted(text)}; {remedy}")


def _forms() -> str:
    return "a part is one of: " + ", ".join(f'"{form}"' for form in PARTS)
