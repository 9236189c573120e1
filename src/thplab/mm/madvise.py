# SPDX-License-Identifier: GPL-2.0-only
"""What a process says about its memory: madvise(2) (mm/madvise.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.mm.collapse import (
    SCAN_ALLOC_HUGE_PAGE_FAIL,
    SCAN_CGROUP_CHARGE_FAIL,
    SCAN_EXCEED_NONE_PTE,
    SCAN_FAIL,
    SCAN_NO_PTE_TABLE,
    SCAN_PAGE_COMPOUND,
    SCAN_PAGE_COUNT,
    SCAN_PAGE_LOCK,
    SCAN_PAGE_LRU,
    SCAN_PAGE_RO,
    SCAN_PMD_MAPPED,
    SCAN_PTE_NON_PRESENT,
    SCAN_SUCCEED,
    CollapseControl,
)
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.mm_types import Folio, Task, Vma
from thplab.mm.pagewalk import folio_walk_start
from thplab.mm.rmap import folio_maybe_mapped_shared
from thplab.mm.vma import piece_at, vma_covers

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Madvise", "madvise_collapse_errno"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Madvise:
    """Advice on one machine.

    Attributes:
        cold_keeps_whole: MADV_COLD leaves a folio whole of which all pages are meant, however it is mapped
            (6.10); before, only if a PMD maps it.
        collapse_passes_holes: MADV_COLLAPSE goes on behind a range without a page table (6.19); before, it
            ends there.
        pt_reclaim: MADV_DONTNEED frees empty page tables (CONFIG_PT_RECLAIM, 6.14).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.cold_keeps_whole: bool = True
        self.collapse_passes_holes: bool = True
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
        another task may map it. What is left, and nobody else maps, is neither young nor referenced any
        more, so that khugepaged leaves it. To deactivate pages changes nothing here: the model has no
        order of reclaim.
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
            or folio_maybe_mapped_shared(
                folio, 1 if by_pmd else mapped.bit_count(), self.machine.memory.reuse_large_folio
            )
        ):
            lock.unlock()
        else:
            huge.split_found(vma, folio)
        lock.lock()
        self._forget_use(vma, slot, mask)
        lock.unlock()
        return True

    def _forget_use(self, vma: Vma, slot: i64, mask: int) -> None:
        """Part of madvise_cold_or_pageout_pte_range(): of whole folios that only this entry maps, or these entries map."""
        here = vma.slots[slot]
        mm_id = self.machine.memory.reuse_large_folio
        if isinstance(here, Folio):
            if mask == FULL_MASK and not folio_maybe_mapped_shared(here, 1, mm_id):
                here.unreferenced = FULL_MASK
                vma.old[int(slot)] = FULL_MASK
            return
        entry = here
        while entry is not None:
            owner = entry.owner
            hit = entry.mask & mask
            if isinstance(owner, Folio):
                if hit != FULL_MASK or owner.mapcount() != owner.nr_pages:
                    hit = 0
            elif owner is None or entry.migrating:
                hit = 0
            elif owner.more_mapped:
                hit &= ~owner.more_mapped[0]
            if hit and owner is not None:
                owner.unreferenced |= hit
                vma.old[int(slot)] = vma.old.get(int(slot), 0) | hit
            entry = entry.next

    def hugepage_madvise(self, task: Task, vma: Vma, advice: str) -> None:
        """hugepage_madvise() (mm/khugepaged.c): MADV_HUGEPAGE or MADV_NOHUGEPAGE of a whole region.

        The first registers its address space, if it was touched already (madvise_update_vma()).
        """
        if vma.thp == advice:
            return
        vma.thp = advice
        if advice == "hugepage":
            for piece in vma.pieces:
                self.machine.khugepaged.khugepaged_enter_madvise(task, vma, piece.first)

    def collapse(self, task: Task, vma: Vma, first: i64, end: i64) -> str:
        """madvise_walk_vmas(): MADV_COLLAPSE of the base pages `first` to `end` - 1, VMA by VMA, up to the first error.

        Returns:
            The name of the error, one of EINVAL, ENOMEM, EBUSY and EAGAIN, or "" if there is none.
        """
        unmapped = ""
        at = piece_at(vma, first)
        while first < end:
            if at == len(vma.pieces) or vma.pieces[at].first >= end:
                return "ENOMEM"
            piece = vma.pieces[at]
            if first < piece.first:
                unmapped = "ENOMEM"
                first = piece.first
            error = self._madvise_collapse(task, vma, at, first, min(piece.end, end))
            if error:
                return error
            first = piece.end
            at += 1
        return unmapped

    def _madvise_collapse(self, task: Task, vma: Vma, at: int, first: i64, end: i64) -> str:
        """madvise_collapse() (mm/khugepaged.c): of one VMA. Settings do not matter, only MADV_NOHUGEPAGE does."""
        khugepaged = self.machine.khugepaged
        piece = vma.pieces[at]
        room = piece.end // HPAGE_PMD_NR > -(-piece.first // HPAGE_PMD_NR)
        if vma.thp == "nohugepage" or not room or not piece.anon:
            return "EINVAL"
        slot = -(-first // HPAGE_PMD_NR)
        beyond = end // HPAGE_PMD_NR
        missing = beyond - slot
        cc = CollapseControl(False)
        last_fail = SCAN_FAIL
        while slot < beyond:
            result = khugepaged.collapse(task, vma, slot, cc)
            slot += 1
            if result in (SCAN_SUCCEED, SCAN_PMD_MAPPED):
                missing -= 1
                continue
            last_fail = result
            if result == SCAN_NO_PTE_TABLE and self.collapse_passes_holes:
                continue
            if result not in MADVISE_COLLAPSE_GOES_ON:
                break
        return madvise_collapse_errno(last_fail) if missing > 0 else ""


MADVISE_COLLAPSE_GOES_ON: Final = (
    SCAN_PTE_NON_PRESENT,
    SCAN_PAGE_RO,
    SCAN_PAGE_COUNT,
    SCAN_PAGE_LOCK,
    SCAN_PAGE_COMPOUND,
    SCAN_PAGE_LRU,
)


def madvise_collapse_errno(result: str) -> str:
    """madvise_collapse_errno() (mm/khugepaged.c): the name of the error."""
    if result == SCAN_ALLOC_HUGE_PAGE_FAIL:
        return "ENOMEM"
    if result in (SCAN_CGROUP_CHARGE_FAIL, SCAN_EXCEED_NONE_PTE):
        return "EBUSY"
    if result in (SCAN_PAGE_COUNT, SCAN_PAGE_LOCK, SCAN_PAGE_LRU):
        return "EAGAIN"
    return "EINVAL"
