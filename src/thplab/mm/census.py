# SPDX-License-Identifier: GPL-2.0-only
"""What a region consists of: what /proc/PID/pagemap and /proc/kpageflags tell of it on a kernel."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, HPAGE_PMD_ORDER
from thplab.mm.mm_types import Folio, PteMap, Vma

__all__ = ["Census", "census"]


class Census:
    """The pages of one region.

    Attributes:
        huge: by node, huge pages still whole. split: by node, huge-page-sized ranges that have base
            pages and no whole huge page, counted where the first base page is. base: by node, base
            pages that are no part of a whole huge page.
        zero: pages that map the shared zero page. absent: pages that map nothing.
    """

    def __init__(self, nr_nodes: i64) -> None:
        self.huge: list[int] = [0] * int(nr_nodes)
        self.split: list[int] = [0] * int(nr_nodes)
        self.base: list[int] = [0] * int(nr_nodes)
        self.zero: i64 = 0
        self.absent: i64 = 0


def census(vma: Vma, nr_nodes: i64) -> Census:
    """Count the pages of a region."""
    found = Census(nr_nodes)
    for slot in range(len(vma.slots)):
        here = vma.slots[slot]
        if isinstance(here, Folio):
            found.huge[here.nid] += 1
        else:
            _count_entries(found, vma, slot, here)
    return found


def _count_entries(found: Census, vma: Vma, slot: i64, first: PteMap | None) -> None:
    present: i64 = 0
    whole = False
    lowest = FULL_MASK + 1
    lowest_nid: i64 = -1
    entry = first
    while entry is not None:
        mask = entry.mask
        count = mask.bit_count()
        owner = entry.owner
        present += count
        if owner is None:
            found.zero += count
        elif isinstance(owner, Folio) and owner.order == HPAGE_PMD_ORDER:
            if mask:
                found.huge[owner.nid] += 1
                whole = True
        elif mask:
            found.base[owner.nid] += count
            bit = mask & -mask
            if bit < lowest:
                lowest = bit
                lowest_nid = owner.nid
        entry = entry.next
    if lowest_nid >= 0 and not whole:
        found.split[lowest_nid] += 1
    nr_pages = min(HPAGE_PMD_NR, vma.nr_pages - slot * HPAGE_PMD_NR)
    found.absent += nr_pages - present
