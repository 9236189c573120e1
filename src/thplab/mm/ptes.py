# SPDX-License-Identifier: GPL-2.0-only
"""The page table entries of one huge-page-sized range, as collapse looks at them (mm/khugepaged.c, 7.3)."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.memory import lowest_bits
from thplab.mm.mm_types import PG_LOCKED, PG_LRU, Folio, PteMap
from thplab.mm.rmap import folio_maybe_mapped_shared

__all__ = ["Ptes", "nth_bit"]


class Ptes:
    """What the page table entries of one range point to, a bit for each entry.

    Attributes:
        none_or_zero: nothing, or the zero page. unmapped: migration entries, which count as swapped.
        shared: pages that other tasks may map too.
        referenced: pages that were used lately, as the entry or the folio says.
        writable: entries that may be written through, as far as a fork decides it.
        compound: pages of large folios. locked, not_lru, pinned: pages of folios in that state.
        by_node: the pages that lie on each node.
        folios: the large folios, in the order of their first page here.
    """

    def __init__(self, first: PteMap | None, old: int, folio_shared: bool, mm_id: bool) -> None:
        self.none_or_zero: int = FULL_MASK
        self.unmapped: int = 0
        self.shared: int = 0
        self.referenced: int = 0
        self.writable: int = 0
        self.compound: int = 0
        self.locked: int = 0
        self.not_lru: int = 0
        self.pinned: int = 0
        self.by_node: dict[int, int] = {}
        self.folios: list[Folio] = []
        ours: dict[Folio, int] = {}
        entry = first
        while entry is not None:
            owner = entry.owner
            mask = entry.mask
            if owner is not None:
                self.none_or_zero &= ~mask
            if entry.migrating:
                self.unmapped |= mask
            elif owner is not None:
                self.by_node[int(owner.nid)] = self.by_node.get(int(owner.nid), 0) | mask
                self.referenced |= mask & ~(owner.unreferenced & old)
                self.writable |= mask & ~owner.not_exclusive
                if isinstance(owner, Folio):
                    ours[owner] = ours.get(owner, 0) | mask
                elif owner.more_mapped:
                    self.shared |= mask & owner.more_mapped[0]
            entry = entry.next
        for folio in sorted(ours, key=lambda folio: ours[folio] & -ours[folio]):
            self._look_at(folio, ours[folio], folio_shared, mm_id)

    def _look_at(self, folio: Folio, mask: int, folio_shared: bool, mm_id: bool) -> None:
        self.folios.append(folio)
        self.compound |= mask
        if not folio_shared:
            layers = folio.more_mapped
            self.shared |= mask if folio.entire_mapcount else mask & layers[0] if layers else 0
        elif folio_maybe_mapped_shared(folio, mask.bit_count(), mm_id):
            self.shared |= mask
        if folio.test_flag(PG_LOCKED):
            self.locked |= mask
        if not folio.test_flag(PG_LRU):
            self.not_lru |= mask
        if folio.ref_count() != folio.mapcount():
            self.pinned |= mask


def nth_bit(mask: int, count: i64) -> i64:
    """The place of the bit after the `count` lowest ones; 512 if there are no more."""
    if mask.bit_count() <= count:
        return HPAGE_PMD_NR
    rest = mask & ~lowest_bits(mask, count)
    return (rest & -rest).bit_length() - 1
