# SPDX-License-Identifier: GPL-2.0-only
"""The `part` of a step: which base pages of each huge page it is about, as a bit mask.

>>> part_mask("first page of each huge page")
1
>>> part_mask("pages 4-7 of each huge page")
240
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["ALL_PAGES", "HPAGE_PMD_NR", "HPAGE_PMD_SIZE", "PAGE_SIZE", "PARTS", "part_mask"]

PAGE_SIZE = 4096
HPAGE_PMD_NR = 512
"""Base pages of a huge page (x86-64, 4K pages)."""
HPAGE_PMD_SIZE = PAGE_SIZE * HPAGE_PMD_NR

ALL_PAGES = (1 << HPAGE_PMD_NR) - 1
_HALF = (1 << HPAGE_PMD_NR // 2) - 1
_EACH = " of each huge page"

_FIXED = {
    "all": ALL_PAGES,
    "upper half" + _EACH: ALL_PAGES & ~_HALF,
    "lower half" + _EACH: _HALF,
    "first page" + _EACH: 1,
    "all but the first page" + _EACH: ALL_PAGES & ~1,
}
_ONE = re.compile(rf"page ([0-9]{{1,3}}){_EACH}", re.ASCII)
_SPAN = re.compile(rf"pages ([0-9]{{1,3}})-([0-9]{{1,3}}){_EACH}", re.ASCII)

PARTS = (*_FIXED, "page 7" + _EACH, "pages 16-31" + _EACH)
"""One example of each form that a part may have."""


@lru_cache(maxsize=256)
def part_mask(part: str) -> int:
    """The base pages that `part` names: bit i stands for base page i of each huge page.

    Raises:
        ValueError: `part` is none of the forms, or a page is not below HPAGE_PMD_NR.
    """
    fixed = _FIXED.get(part)
    if fixed is not None:
        return fixed
    if match := _ONE.fullmatch(part):
        first = last = int(match[1])
    elif match := _SPAN.fullmatch(part):
        first, last = int(match[1]), int(match[2])
    else:
        raise ValueError("a part is one of: " + ", ".join(f'"{form}"' for form in PARTS))
    if last >= HPAGE_PMD_NR:
        raise ValueError(f"the pages of a huge page are 0 to {HPAGE_PMD_NR - 1}")
    if first > last:
        raise ValueError(f"pages {first}-{last} run backwards; write {last}-{first}")
    return (1 << last + 1) - (1 << first)
