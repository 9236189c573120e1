# SPDX-License-Identifier: GPL-2.0-only
"""Collapse: one huge page in the place of page table entries (mm/khugepaged.c, 7.3).

Only to PMD size: the smaller sizes of 7.2 are off by default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, HPAGE_PMD_ORDER
from thplab.mm.gfp import GFP_THISNODE, GFP_TRANSHUGE, GFP_TRANSHUGE_LIGHT
from thplab.mm.mlock import mlock_vma_folio
from thplab.mm.mm_types import PROT_WRITE, BasePages, Folio, PteMap, Task, Vma
from thplab.mm.ptes import Ptes, nth_bit
from thplab.mm.vma import piece_at, vma_covers
from thplab.mm.vmstat import (
    THP_COLLAPSE_ALLOC,
    THP_COLLAPSE_ALLOC_FAILED,
    THP_SCAN_EXCEED_NONE_PTE,
    THP_SCAN_EXCEED_SHARED_PTE,
    THP_SCAN_EXCEED_SWAP_PTE,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["SCAN_RESULTS", "Collapse", "CollapseControl"]

# enum scan_result, as the kernel's traces call them: the ones that can come up here.
SCAN_FAIL: Final = "failed"
SCAN_SUCCEED: Final = "succeeded"
SCAN_NO_PTE_TABLE: Final = "no_pte_table"
SCAN_PMD_MAPPED: Final = "page_pmd_mapped"
SCAN_EXCEED_NONE_PTE: Final = "exceed_none_pte"
SCAN_EXCEED_SWAP_PTE: Final = "exceed_swap_pte"
SCAN_EXCEED_SHARED_PTE: Final = "exceed_shared_pte"
SCAN_PTE_NON_PRESENT: Final = "pte_non_present"
SCAN_PAGE_RO: Final = "no_writable_page"
SCAN_LACK_REFERENCED_PAGE: Final = "lack_referenced_page"
SCAN_PAGE_COUNT: Final = "not_suitable_page_count"
SCAN_PAGE_LRU: Final = "page_not_in_lru"
SCAN_PAGE_LOCK: Final = "page_locked"
SCAN_PAGE_COMPOUND: Final = "page_compound"
SCAN_ADDRESS_RANGE: Final = "not_suitable_address_range"
SCAN_ALLOC_HUGE_PAGE_FAIL: Final = "alloc_huge_page_failed"
SCAN_CGROUP_CHARGE_FAIL: Final = "ccgroup_charge_failed"

SCAN_RESULTS: Final = (
    SCAN_FAIL,
    SCAN_SUCCEED,
    SCAN_NO_PTE_TABLE,
    SCAN_PMD_MAPPED,
    SCAN_EXCEED_NONE_PTE,
    SCAN_EXCEED_SWAP_PTE,
    SCAN_EXCEED_SHARED_PTE,
    SCAN_PTE_NON_PRESENT,
    SCAN_PAGE_RO,
    SCAN_LACK_REFERENCED_PAGE,
    SCAN_PAGE_COUNT,
    SCAN_PAGE_LRU,
    SCAN_PAGE_LOCK,
    SCAN_PAGE_COMPOUND,
    SCAN_ADDRESS_RANGE,
    SCAN_ALLOC_HUGE_PAGE_FAIL,
    SCAN_CGROUP_CHARGE_FAIL,
)


class CollapseControl:
    """struct collapse_control: one scan, of khugepaged or of MADV_COLLAPSE.

    Attributes:
        is_khugepaged: the daemon, which its limits hold back; else MADV_COLLAPSE, which has none.
        node_load: how many base pages of the range each node has.
        alloc_nmask: the nodes that may give the huge page.
        progress: what was looked at so far (see khugepaged_pages_to_scan).
        lock_dropped: a huge page was asked for, and mmap_lock was dropped for that.
        last_target_node: up to 6.1: where the one before went.
    """

    def __init__(self, is_khugepaged: bool) -> None:
        self.is_khugepaged: bool = is_khugepaged
        self.node_load: dict[int, int] = {}
        self.alloc_nmask: list[int] = []
        self.progress: i64 = 0
        self.lock_dropped: bool = False
        self.last_target_node: i64 = -1


@mypyc_attr(allow_interpreted_subclasses=True)
class Collapse:
    """Collapse on one machine, whoever asks for it.

    Attributes:
        max_ptes_none: entries of a huge page's range that may be missing or zero.
        max_ptes_shared: entries that another process may share.
        max_ptes_swap: entries that are swapped out; here only those under migration can be met.
        defrag: khugepaged reclaims memory for a huge page.
        collapses_shared: collapse takes large folios and what a fork shares (5.8).
        alloc_nmask: a huge page may come from each of the nodes that have most of the pages (6.2); before,
            such nodes take turns, and the one whose turn it is must have it.
        asks_folio: a page of a large folio counts as shared if any of the folio's may be (6.10).
        unmaps_in_batches: the old folio's entries go a run at a time (6.17), not one by one.
        collapses_read_only: memory that may not be written is collapsed too (6.18).
        counts_entries: khugepaged counts the entries that it looked at (7.1); before, 512 for each range.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.max_ptes_none: i64 = HPAGE_PMD_NR - 1
        self.max_ptes_shared: i64 = HPAGE_PMD_NR // 2
        self.max_ptes_swap: i64 = HPAGE_PMD_NR // 8
        self.defrag: bool = True
        self.collapses_shared: bool = True
        self.alloc_nmask: bool = True
        self.asks_folio: bool = True
        self.unmaps_in_batches: bool = True
        self.collapses_read_only: bool = True
        self.counts_entries: bool = True

    def collapse(self, task: Task, vma: Vma, slot: i64, cc: CollapseControl) -> str:
        """collapse_single_pmd(): a whole huge page in the place of what is there. Returns one of SCAN_RESULTS."""
        cc.lock_dropped = False
        looked_at: i64 = 1
        result, ptes = self._find_ptes(vma, slot)
        if ptes is not None:
            result, looked_at = self.collapse_scan_pmd(vma, slot, ptes, cc)
        cc.progress += looked_at if self.counts_entries else HPAGE_PMD_NR
        if result != SCAN_SUCCEED:
            return result
        cc.lock_dropped = True
        return self.collapse_huge_page(task, vma, slot, cc)

    def _find_ptes(self, vma: Vma, slot: i64) -> tuple[str, Ptes | None]:
        """find_pmd_or_thp_or_none(): the entries of the range, or why there are none."""
        if not vma_covers(vma, slot):
            return SCAN_ADDRESS_RANGE, None
        here = vma.slots[slot]
        if isinstance(here, Folio):
            return SCAN_PMD_MAPPED, None
        if here is None and int(slot) not in vma.empty_tables:
            return SCAN_NO_PTE_TABLE, None
        old = vma.old.get(int(slot), 0)
        mm_id = self.machine.memory.reuse_large_folio
        return SCAN_SUCCEED, Ptes(here, old, self.asks_folio, mm_id)

    def collapse_scan_pmd(
        self, vma: Vma, slot: i64, ptes: Ptes, cc: CollapseControl
    ) -> tuple[str, i64]:
        """collapse_scan_pmd(): the entries one by one, up to the first that forbids it.

        Returns:
            The result, and how many entries were looked at.
        """
        result, place = self._first_obstacle(ptes, cc)
        if result == SCAN_SUCCEED:
            result = self._worth_it(vma, slot, ptes, cc)
        self._count_exceeded(result)
        cc.node_load = {nid: pages.bit_count() for nid, pages in ptes.by_node.items()}
        return result, min(place + 1, HPAGE_PMD_NR)

    def _first_obstacle(self, ptes: Ptes, cc: CollapseControl) -> tuple[str, i64]:
        """Part of collapse_scan_pmd(): what ends the walk of the entries, and where.

        For one page the kernel looks in the order of the rows.
        """
        limited = cc.is_khugepaged
        rows = [
            (ptes.none_or_zero, self.max_ptes_none, limited, SCAN_EXCEED_NONE_PTE),
            (ptes.unmapped, self.max_ptes_swap, limited, SCAN_EXCEED_SWAP_PTE),
        ]
        if self.collapses_shared:
            rows.append((ptes.shared, self.max_ptes_shared, limited, SCAN_EXCEED_SHARED_PTE))
        else:
            rows.append((ptes.compound, 0, True, SCAN_PAGE_COMPOUND))
        rows.append((ptes.not_lru, 0, True, SCAN_PAGE_LRU))
        rows.append((ptes.locked, 0, True, SCAN_PAGE_LOCK))
        pinned = ptes.pinned if self.collapses_shared else ptes.shared
        rows.append((pinned, 0, True, SCAN_PAGE_COUNT))
        first = HPAGE_PMD_NR
        result = SCAN_SUCCEED
        for mask, limit, applies, why in rows:
            place = nth_bit(mask, limit) if applies else HPAGE_PMD_NR
            if place < first:
                first = place
                result = why
        return result, first

    def _count_exceeded(self, result: str) -> None:
        if result == SCAN_EXCEED_NONE_PTE:
            self.machine.vmstat.count(THP_SCAN_EXCEED_NONE_PTE)
        elif result == SCAN_EXCEED_SHARED_PTE:
            self.machine.vmstat.count(THP_SCAN_EXCEED_SHARED_PTE)
        elif result == SCAN_EXCEED_SWAP_PTE:
            self.machine.vmstat.count(THP_SCAN_EXCEED_SWAP_PTE)

    def _worth_it(self, vma: Vma, slot: i64, ptes: Ptes, cc: CollapseControl) -> str:
        """Part of collapse_scan_pmd(): some entry may be written through, where that matters, and khugepaged wants a page
        that was used lately.

        A fork takes the right to write from the entries of both, until a write fault gives it back.
        """
        access = vma.pieces[piece_at(vma, slot * HPAGE_PMD_NR)].access
        writable = access & PROT_WRITE != 0 and ptes.writable != 0
        if not (writable or self.collapses_read_only):
            return SCAN_PAGE_RO
        if cc.is_khugepaged and not ptes.referenced:
            return SCAN_LACK_REFERENCED_PAGE
        return SCAN_SUCCEED

    def collapse_find_target_node(self, cc: CollapseControl) -> i64:
        """collapse_find_target_node(): the first of the nodes that have most of the pages.

        alloc_nmask are all of them: every node if the range has only zero pages.
        """
        loads = [cc.node_load.get(nid, 0) for nid in range(self.machine.nr_nodes)]
        most = max(loads)
        equal = [nid for nid, load in enumerate(loads) if load == most]
        target = equal[0]
        if self.alloc_nmask:
            cc.alloc_nmask = equal
            return target
        if target <= cc.last_target_node:
            for nid in equal:
                if nid > cc.last_target_node:
                    target = nid
                    break
        cc.last_target_node = target
        cc.alloc_nmask = [target]
        return target

    def alloc_charge_folio(self, task: Task, cc: CollapseControl) -> Folio | str:
        """alloc_charge_folio(): the new huge page, ready to be queued, or why there is none."""
        machine = self.machine
        gfp = GFP_TRANSHUGE if self.defrag or not cc.is_khugepaged else GFP_TRANSHUGE_LIGHT
        if not self.alloc_nmask:
            gfp |= GFP_THISNODE
        nid = self.collapse_find_target_node(cc)
        found = machine.pages.alloc_huge(HPAGE_PMD_ORDER, nid, cc.alloc_nmask, gfp)
        if found < 0:
            machine.vmstat.count(THP_COLLAPSE_ALLOC_FAILED)
            return SCAN_ALLOC_HUGE_PAGE_FAIL
        machine.vmstat.count(THP_COLLAPSE_ALLOC)
        folio = Folio(HPAGE_PMD_ORDER, found)
        # khugepaged never returns to user space: it does not reclaim for a memory.high that it crosses.
        mm = None if cc.is_khugepaged else task.mm
        if not machine.charges.charge_folio(folio, task.memcg, gfp, mm):
            machine.lru.folio_put(folio)
            return SCAN_CGROUP_CHARGE_FAIL
        machine.charges.count_stat(task.memcg, "thp_collapse_alloc")
        if not machine.deferred_split.prepare(folio):
            machine.lru.folio_put(folio)
            if machine.deferred_split.collapse_says_charge:
                return SCAN_CGROUP_CHARGE_FAIL
            return SCAN_ALLOC_HUGE_PAGE_FAIL
        return folio

    def collapse_huge_page(self, task: Task, vma: Vma, slot: i64, cc: CollapseControl) -> str:
        """collapse_huge_page(): contents move, the old memory goes, a PMD maps the new.

        While the huge page was allocated, anything may have happened, so everything is looked at again.
        """
        folio = self.alloc_charge_folio(task, cc)
        if isinstance(folio, str):
            return folio
        lock = vma.mm.page_table_lock
        lock.lock()
        result, ptes = self._find_ptes(vma, slot)
        if ptes is not None:
            result = self.isolate(vma, slot, ptes, cc)
        lock.unlock()
        if ptes is None or result != SCAN_SUCCEED:
            self.machine.lru.folio_put(folio)
            return result
        self._copy(vma, slot, ptes, folio)
        self._map_anon_folio_pmd(vma, slot, folio)
        return SCAN_SUCCEED

    def isolate(self, vma: Vma, slot: i64, ptes: Ptes, cc: CollapseControl) -> str:
        """__collapse_huge_page_isolate(): look again, and take each large folio's lock and a reference.

        Nobody else may hold a reference beside those of its mappings.
        """
        if ptes.unmapped:
            return SCAN_PTE_NON_PRESENT
        result, _place = self._first_obstacle(ptes, cc)
        if result == SCAN_SUCCEED:
            result = self._worth_it(vma, slot, ptes, cc)
        self._count_exceeded(result)
        if result != SCAN_SUCCEED:
            return result
        for nr, folio in enumerate(ptes.folios):
            if not folio.trylock():
                self._release(ptes.folios[:nr])
                return SCAN_PAGE_LOCK
            if folio.ref_count() != folio.mapcount():
                folio.unlock()
                self._release(ptes.folios[:nr])
                return SCAN_PAGE_COUNT
            folio.get()
        return SCAN_SUCCEED

    def _release(self, folios: list[Folio]) -> None:
        """release_pte_folio(): of each; one that nobody maps any more goes."""
        for folio in folios:
            folio.unlock()
            self.machine.lru.folio_put(folio)

    def _copy(self, vma: Vma, slot: i64, ptes: Ptes, folio: Folio) -> None:
        """__collapse_huge_page_copy(): the contents, then the old entries go, then the old folios.

        The entries of a large folio go run by run, up to 6.16 page by page. A folio of which pages are
        still mapped then looks partly mapped for a moment, and is queued and counted.
        """
        memory = self.machine.memory
        zeros = FULL_MASK
        here = vma.slots[slot]
        entry: PteMap | None = here if isinstance(here, PteMap) else None
        while entry is not None:
            owner = entry.owner
            if isinstance(owner, Folio):
                zeros &= ~(entry.mask & ~owner.zeros)
            elif isinstance(owner, BasePages):
                zeros &= ~entry.mask
            entry = entry.next
        folio.zeros = zeros
        rest = ptes.compound
        if not self.unmaps_in_batches:
            rest &= -rest
        while rest:
            lowest = rest & -rest
            run = rest & ~(rest + lowest)
            rest &= ~run
            memory.zap(vma, slot, run)
        memory.zap(vma, slot, FULL_MASK)
        self._release(ptes.folios)

    def _map_anon_folio_pmd(self, vma: Vma, slot: i64, folio: Folio) -> None:
        """map_anon_folio_pmd_nopf() (mm/huge_memory.c): it may be queued as underused at once."""
        machine = self.machine
        folio.anon_vma = vma.anon_vma
        folio.index = slot * HPAGE_PMD_NR
        mlock_vma_folio(vma, folio)
        lock = vma.mm.page_table_lock
        lock.lock()
        machine.rmap.folio_add_new_anon_rmap(folio)
        machine.lru.folio_add_lru(folio)
        vma.slots[slot] = folio
        vma.empty_tables.discard(int(slot))
        # The PMD is young. The folio is not referenced, because it was not added in a fault.
        vma.old.pop(int(slot), 0)
        folio.unreferenced = FULL_MASK
        vma.mm.nr_anon += HPAGE_PMD_NR
        machine.huge_memory.deferred_split_folio(folio, False)
        lock.unlock()
