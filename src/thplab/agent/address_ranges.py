# SPDX-License-Identifier: GPL-2.0-only
"""The byte ranges of a region that a step is about, as system calls take them."""

from __future__ import annotations

from thplab.scenario.extent import step_extent
from thplab.scenario.parts import ALL_PAGES, HPAGE_PMD_NR, PAGE_SIZE
from thplab.scenario.schema import RangeStep

__all__ = ["address_ranges"]


def address_ranges(step: RangeStep, size: int) -> list[tuple[int, int]]:
    """The ranges, as (offset in the region, length) in bytes, in ascending order.

    Args:
        step: the step.
        size: of its region.

    Raises:
        ScenarioError: the range leaves the region, or the part is none of the forms.
    """
    extent = step_extent(step, size, f"a step on region {step.region}")
    if extent.mask == ALL_PAGES:
        return [(extent.first * PAGE_SIZE, (extent.end - extent.first) * PAGE_SIZE)]
    lowest = (extent.mask & -extent.mask).bit_length() - 1
    beyond = extent.mask.bit_length()  # every form of a part is one run of pages
    ranges = []
    for huge_page in range(extent.first - extent.first % HPAGE_PMD_NR, extent.end, HPAGE_PMD_NR):
        first = max(huge_page + lowest, extent.first)
        end = min(huge_page + beyond, extent.end)
        if first < end:
            ranges.append((first * PAGE_SIZE, (end - first) * PAGE_SIZE))
    return ranges
