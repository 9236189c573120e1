# SPDX-License-Identifier: GPL-2.0-only
"""The base pages that a step is about: an address range of a region, and a part of each huge page."""

from __future__ import annotations

from typing import NamedTuple

from thplab.scenario.errors import ScenarioError
from thplab.scenario.naming import quoted
from thplab.scenario.parts import ALL_PAGES, HPAGE_PMD_NR, PAGE_SIZE, part_mask
from thplab.scenario.schema import RangeStep
from thplab.scenario.units import exact_size

__all__ = ["Extent", "step_extent"]


class Extent(NamedTuple):
    """Base pages `first` to `end` (not included) of a region, as far as `mask` has them.

    Page p is in it if first <= p < end and bit p % 512 of `mask` is set.
    """

    first: int
    end: int
    mask: int

    def overlaps(self, other: Extent) -> bool:
        """True if a page is in both."""
        first, end = max(self.first, other.first), min(self.end, other.end)
        if first >= end:
            return False
        both = self.mask & other.mask
        if end - first >= HPAGE_PMD_NR:
            return both != 0
        window = ((1 << end - first) - 1) << first % HPAGE_PMD_NR
        return both & (window | window >> HPAGE_PMD_NR) & ALL_PAGES != 0


def step_extent(step: RangeStep, size: int, where: str) -> Extent:
    """The pages of a region of `size` bytes that `step` is about.

    Raises:
        ScenarioError: the range is not in whole pages, is empty or leaves the region, or the part
            is none of the forms.
    """
    try:
        mask = part_mask(step.part)
    except ValueError as error:
        raise ScenarioError(f"there is no part {quoted(step.part)}", str(error), where) from None
    length = size - step.offset if step.length is None else step.length
    for name, value in (("offset", step.offset), ("length", length)):
        if value % PAGE_SIZE:
            raise ScenarioError(
                f"the {name} {exact_size(value)} is not in whole pages", "a page has 4K", where
            )
    if step.offset >= size or step.offset + length > size:
        end = "" if step.length is None else f" to {exact_size(step.offset + length)}"
        raise ScenarioError(
            f"{exact_size(step.offset)}{end} is outside region {quoted(step.region)} of task {quoted(step.task)}",
            f"the region has {exact_size(size)}",
            where,
        )
    if length <= 0:
        raise ScenarioError("the range is empty", "a length has at least 4K", where)
    return Extent(step.offset // PAGE_SIZE, (step.offset + length) // PAGE_SIZE, mask)
