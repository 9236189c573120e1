# SPDX-License-Identifier: GPL-2.0-only
"""The base pages that a step acts on: an address range of a region, and a part of each huge page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, PAGE_SIZE

__all__ = ["Extent"]


class Extent(NamedTuple):
    """Page p of a region is in it if first <= p < end and bit p % 512 of `mask` is set."""

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
        return both & (window | window >> HPAGE_PMD_NR) & FULL_MASK != 0

    def without(self, other: Extent) -> list[Extent]:
        """The pages that the other has not, in at most three."""
        first, end = max(self.first, other.first), min(self.end, other.end)
        if first >= end:
            return [self]
        parts = (
            Extent(self.first, first, self.mask),
            Extent(first, end, self.mask & ~other.mask),
            Extent(end, self.end, self.mask),
        )
        return [part for part in parts if part.first < part.end and part.mask]

    def slots(self) -> Iterator[tuple[int, int]]:
        """Each huge-page-sized slot that has pages in it: its number, and a bit for each page."""
        for slot in range(self.first // HPAGE_PMD_NR, -(-self.end // HPAGE_PMD_NR)):
            start = slot * HPAGE_PMD_NR
            mask = self.mask
            if self.first > start or self.end < start + HPAGE_PMD_NR:
                low, high = max(self.first - start, 0), min(self.end - start, HPAGE_PMD_NR)
                mask &= (1 << high) - (1 << low)
            if mask:
                yield slot, mask

    def ranges(self) -> list[tuple[int, int]]:
        """The byte ranges, (offset in the region, length), ascending, as system calls take them."""
        if self.mask == FULL_MASK:
            return [(self.first * PAGE_SIZE, (self.end - self.first) * PAGE_SIZE)]
        found = []
        for slot, mask in self.slots():
            lowest = (mask & -mask).bit_length() - 1  # every form of a part is one run of pages
            first = slot * HPAGE_PMD_NR + lowest
            found.append((first * PAGE_SIZE, (mask.bit_length() - lowest) * PAGE_SIZE))
        return found
