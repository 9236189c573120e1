# SPDX-License-Identifier: GPL-2.0-only
"""What a process says about its memory: madvise(2) (mm/madvise.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from thplab.mm.geometry import FULL_MASK
from thplab.mm.mm_types import Folio, Vma
from thplab.mm.pagewalk import folio_walk_start
from thplab.mm.vma import vma_covers

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Madvise"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Madvise:
    """Advice on one machine.

    Attributes:
        cold_keeps_whole: MADV_COLD leaves a folio whole of which all pages are meant, however it is mapped
            (6.10); before, only if a PMD maps it.
        pt_reclaim: MADV_DONTNEED frees empty page tables (CONFIG_PT_RECLAIM, 6.14).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.cold_keeps_whole: bool = True
        self.pt_reclaim: bool = True

    def dontneed(self, vma: Vma, slot: i64, mask: int) -> bool:
        """madvise_dontneed_free(): MADV_DONTNEED of one slot. False is -EINVAL: the region is mlocked.

        Since 6.14 an empty page table goes with its last entry, if the range covers all of it.
        """
        if vma.locked:
            return False
        self.machine.memory.zap_page_range(vma, slot, mask)
        if self.pt_reclaim and mask & FULL_MASK == FULL_MASK and vma_covers(vma, slot):
            vma.empty_tables.discard(int(slot))
        return True

    def cold(self, vma: Vma, slot: i64, mask: int) -> bool:
        """madvise_cold(): MADV_COLD of one slot. False is -EINVAL: the region is mlocked.

        madvise_cold_or_pageout_pte_range() splits a folio of which only some pages are meant, unless
        another task may map it. To deactivate pages changes nothing here: the model has no order of
        reclaim.
        """
        if vma.locked:
            return False
        huge = self.machine.huge_memory
        lock = vma.mm.page_table_lock
        lock.lock()
        folio, mapped = folio_walk_start(vma, slot, mask)
        by_pmd = vma.slots[slot] is folio
        whole = mask & mapped == FULL_MASK and vma_covers(vma, slot)
        if (
            folio is None
            or (whole and (by_pmd or self.cold_keeps_whole))
            or self._folio_maybe_mapped_shared(folio, 1 if by_pmd else mapped.bit_count())
        ):
            lock.unlock()
        else:
            huge.split_found(vma, folio)
        return True

    def _folio_maybe_mapped_shared(self, folio: Folio, ours: i64) -> bool:
        """folio_maybe_mapped_shared() (include/linux/mm.h): another task maps it too, beside our own `ours` mappings.

        With CONFIG_MM_ID (6.15) the kernel knows, as long as no more than two tasks ever map it at a
        time; before, folio_likely_mapped_shared() goes by the first page.
        """
        mapcount = folio.mapcount()
        if mapcount <= 1:
            return False
        if self.machine.memory.reuse_large_folio:
            return mapcount != ours
        if folio.entire_mapcount or mapcount > folio.nr_pages:
            return True
        layers = folio.more_mapped
        return layers is not None and layers[0] & 1 != 0
