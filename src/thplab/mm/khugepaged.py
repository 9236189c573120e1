# SPDX-License-Identifier: GPL-2.0-only
"""khugepaged: huge pages made of base pages, or of huge pages with holes (mm/khugepaged.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, HPAGE_PMD_ORDER
from thplab.mm.gfp import GFP_DIRECT_RECLAIM
from thplab.mm.mlock import mlock_vma_folio
from thplab.mm.mm_types import PROT_WRITE, BasePages, Folio, PteMap, Task, Vma
from thplab.mm.vma import piece_at, vma_covers
from thplab.mm.vmstat import (
    THP_COLLAPSE_ALLOC,
    THP_COLLAPSE_ALLOC_FAILED,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["SCAN_RESULTS", "Khugepaged"]

# enum scan_result: the ones that can come up here.
SCAN_SUCCEED: Final = "succeed"
SCAN_PMD_NULL: Final = "no_pte_table"
SCAN_PMD_MAPPED: Final = "page_already_mapped_by_pmd"
SCAN_EXCEED_NONE_PTE: Final = "exceeded_none_pte"
SCAN_EXCEED_SHARED_PTE: Final = "exceeded_shared_pte"
SCAN_PAGE_RO: Final = "no_writable_page"
SCAN_VMA_CHECK: Final = "vma_check_failed"
SCAN_ALLOC_HUGE_PAGE_FAIL: Final = "alloc_huge_page_failed"
SCAN_CGROUP_CHARGE_FAIL: Final = "ccgroup_charge_failed"

SCAN_RESULTS: Final = (
    SCAN_SUCCEED,
    SCAN_PMD_NULL,
    SCAN_PMD_MAPPED,
    SCAN_EXCEED_NONE_PTE,
    SCAN_EXCEED_SHARED_PTE,
    SCAN_PAGE_RO,
    SCAN_VMA_CHECK,
    SCAN_ALLOC_HUGE_PAGE_FAIL,
    SCAN_CGROUP_CHARGE_FAIL,
)


@mypyc_attr(allow_interpreted_subclasses=True)
class Khugepaged:
    """The daemon of one machine.

    Attributes:
        awake: whether it runs at all; passes happen when time goes by (see `elapse`).
        max_ptes_none: entries of a huge page's range that may be missing or zero.
        collapses_read_only: memory that may not be written is collapsed too (6.18).
        max_ptes_shared: entries that another process may share.
        pages_to_scan: base pages a pass. scan_sleep_millisecs: between two passes.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.awake: bool = False
        self.collapses_read_only: bool = True
        self.max_ptes_none: i64 = HPAGE_PMD_NR - 1
        self.max_ptes_shared: i64 = HPAGE_PMD_NR // 2
        self.pages_to_scan: i64 = HPAGE_PMD_NR * 8
        self.scan_sleep_millisecs: i64 = 10000
        self.slept: i64 = 0
        self.cursor: list[tuple[str, str, int]] = []
        """What is left of the round through all address spaces: task, region, slot."""

    def elapse(self, milliseconds: i64) -> None:
        """Part of khugepaged(): time goes by; as many passes as fit, each after its sleep."""
        if not self.awake:
            return
        self.slept += milliseconds
        sleep = max(self.scan_sleep_millisecs, 1)
        while self.slept >= sleep:
            self.slept -= sleep
            self.scan_pass()

    def scan_pass(self) -> None:
        """khugepaged_do_scan(): pages_to_scan base pages further, or to the end of a round."""
        progress: i64 = 0
        if not self.cursor:
            self.cursor = self._round()
        while self.cursor and progress < self.pages_to_scan:
            name, region, slot = self.cursor.pop(0)
            task = self.machine.tasks.get(name)
            vma = task.mm.vmas.get(region) if task is not None else None
            if task is not None and vma is not None:
                self.collapse(task, vma, slot, True)
                progress += HPAGE_PMD_NR

    def _round(self) -> list[tuple[str, str, int]]:
        """Part of collapse_scan_mm_slot(): every slot that could hold a huge page, by task, then by address.
        mmap(2) goes from the top down.
        """
        places = []
        for name, task in self.machine.tasks.items():
            for region, vma in reversed(list(task.mm.vmas.items())):
                if not self.machine.huge_memory.thp_allowed(vma):
                    continue
                for slot in range(len(vma.slots)):
                    if vma_covers(vma, slot):
                        places.append((name, region, slot))
        return places

    def collapse(self, task: Task, vma: Vma, slot: i64, khugepaged: bool) -> str:
        """collapse_single_pmd(): a whole huge page in the place of what is there.

        Args:
            khugepaged: the daemon, held to its limits; else MADV_COLLAPSE, which is not.

        Returns:
            One of SCAN_RESULTS.
        """
        if not vma_covers(vma, slot):
            return SCAN_VMA_CHECK
        here = vma.slots[slot]
        if isinstance(here, Folio):
            return SCAN_PMD_MAPPED
        if here is None:
            return SCAN_PMD_NULL
        verdict, nid = self._scan(here, khugepaged)
        if verdict != SCAN_SUCCEED:
            return verdict
        access = vma.pieces[piece_at(vma, slot * HPAGE_PMD_NR)].access
        if not self.collapses_read_only and not access & PROT_WRITE:
            return SCAN_PAGE_RO
        folio = self.alloc_charge_folio(task, nid, khugepaged)
        if isinstance(folio, str):
            return folio
        self._replace(vma, slot, here, folio)
        return SCAN_SUCCEED

    def _scan(self, first: PteMap, khugepaged: bool) -> tuple[str, i64]:
        """collapse_scan_pmd(): the entries one by one. How many are missing, how many are shared, where most
        of the memory is.
        """
        present: i64 = 0
        shared: i64 = 0
        load: dict[int, int] = {}
        entry: PteMap | None = first
        while entry is not None:
            owner = entry.owner
            if owner is not None:
                count = entry.mask.bit_count()
                present += count
                load[int(owner.nid)] = load.get(int(owner.nid), 0) + count
                if isinstance(owner, Folio) and owner.entire_mapcount:
                    shared += count
                elif owner.more_mapped:
                    shared += (entry.mask & owner.more_mapped[0]).bit_count()
            entry = entry.next
        if khugepaged and HPAGE_PMD_NR - present > self.max_ptes_none:
            return SCAN_EXCEED_NONE_PTE, -1
        if khugepaged and shared > self.max_ptes_shared:
            return SCAN_EXCEED_SHARED_PTE, -1
        if not load:
            # Only the zero page, which MADV_COLLAPSE takes as well; no node has more than node 0.
            return SCAN_SUCCEED, 0
        most = max(load.values())
        return SCAN_SUCCEED, min(nid for nid, count in load.items() if count == most)

    def alloc_charge_folio(self, task: Task, nid: i64, khugepaged: bool) -> Folio | str:
        """alloc_charge_folio(): the new huge page, ready to be queued, or why there is none."""
        machine = self.machine
        gfp = GFP_DIRECT_RECLAIM
        found = machine.pages.alloc_huge(HPAGE_PMD_ORDER, nid, None, gfp)
        if found < 0:
            machine.vmstat.count(THP_COLLAPSE_ALLOC_FAILED)
            return SCAN_ALLOC_HUGE_PAGE_FAIL
        machine.vmstat.count(THP_COLLAPSE_ALLOC)
        folio = Folio(HPAGE_PMD_ORDER, found)
        # khugepaged never returns to user space: it does not reclaim for a memory.high that it crosses.
        mm = None if khugepaged else task.mm
        if not machine.charges.charge_folio(folio, task.memcg, gfp, mm):
            machine.lru.folio_put(folio)
            return SCAN_CGROUP_CHARGE_FAIL
        machine.charges.count_stat(task.memcg, "thp_collapse_alloc")
        if not machine.deferred_split.prepare(folio):
            machine.lru.folio_put(folio)
            return SCAN_ALLOC_HUGE_PAGE_FAIL
        return folio

    def _replace(self, vma: Vma, slot: i64, first: PteMap, folio: Folio) -> None:
        """Part of collapse_huge_page(): contents move, the old memory goes, a PMD maps the new."""
        machine = self.machine
        zeros = FULL_MASK
        entry: PteMap | None = first
        while entry is not None:
            owner = entry.owner
            if isinstance(owner, Folio):
                zeros &= ~(entry.mask & ~owner.zeros)
            elif isinstance(owner, BasePages):
                zeros &= ~entry.mask
            entry = entry.next
        machine.memory.zap(vma, slot, FULL_MASK)
        folio.zeros = zeros
        folio.anon_vma = vma.anon_vma
        folio.index = slot * HPAGE_PMD_NR
        mlock_vma_folio(vma, folio)
        lock = vma.mm.page_table_lock
        lock.lock()
        machine.rmap.folio_add_new_anon_rmap(folio)
        machine.lru.folio_add_lru(folio)
        vma.slots[slot] = folio
        vma.empty_tables.discard(int(slot))
        vma.mm.nr_anon += HPAGE_PMD_NR
        machine.huge_memory.deferred_split_folio(folio, False)
        lock.unlock()
