# SPDX-License-Identifier: GPL-2.0-only
"""Huge page faults, the guards of the deferred split queue, and splitting (mm/huge_memory.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import H
from thplab.cpu.list_head import list_empty
from thplab.cpu.ops import READ
from thplab.cpu.spinlock import local_irq_disable, local_irq_enable
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, HPAGE_PMD_ORDER
from thplab.mm.gfp import (
    GFP_DIRECT_RECLAIM,
    GFP_KSWAPD_RECLAIM,
    GFP_NORETRY,
    GFP_TRANSHUGE,
    GFP_TRANSHUGE_LIGHT,
)
from thplab.mm.mlock import munlock_vma_folio
from thplab.mm.mm_types import (
    PG_ANON,
    PG_HWPOISON,
    PG_LARGE_RMAPPABLE,
    PG_LOCKED,
    PG_LRU,
    PG_MLOCKED,
    PG_SWAPCACHE,
    BasePages,
    Folio,
    PteMap,
    Task,
    Vma,
)
from thplab.mm.pagewalk import folio_walk_start
from thplab.mm.rmap import MigrationEntry, add_mapped
from thplab.mm.vmstat import (
    MTHP_STAT_ANON_FAULT_ALLOC,
    MTHP_STAT_ANON_FAULT_FALLBACK,
    MTHP_STAT_ANON_FAULT_FALLBACK_CHARGE,
    MTHP_STAT_NR_ANON,
    MTHP_STAT_SPLIT,
    MTHP_STAT_SPLIT_FAILED,
    THP_FAULT_ALLOC,
    THP_FAULT_FALLBACK,
    THP_FAULT_FALLBACK_CHARGE,
    THP_SPLIT_PAGE,
    THP_SPLIT_PAGE_FAILED,
    THP_SPLIT_PMD,
    THP_UNDERUSED_SPLIT_PAGE,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = [
    "SCAN_NEXT",
    "SCAN_REQUEUE",
    "SCAN_SPLIT",
    "HugeMemory",
    "ThpSettings",
]

# Where deferred_split_scan() goes on with a folio: it was split; back to the queue if it is flagged; back to the
# queue, flagged or not.
SCAN_SPLIT: Final[i64] = 0
SCAN_NEXT: Final[i64] = 1
SCAN_REQUEUE: Final[i64] = 2


def can_split(folio: Folio) -> bool:
    """Part of __folio_split(): before anything is unmapped. Each reference but the caller's must be that of a mapping.

    What nobody maps has no anon_vma to be locked (folio_get_anon_vma()).
    """
    if H.on:
        H.watcher.point(READ, folio)
    mapcount = folio.mapcount()
    return mapcount != 0 and folio.ref_count() == mapcount + 1


class ThpSettings:
    """/sys/kernel/mm/transparent_hugepage, with the kernel's defaults. khugepaged has its own."""

    def __init__(self) -> None:
        self.enabled: str = "always"
        self.defrag: str = "madvise"
        self.shrink_underused: bool = True


@mypyc_attr(allow_interpreted_subclasses=True)
class HugeMemory:
    """Transparent huge pages of one machine.

    Attributes:
        scan_skips_mlocked: the shrinker leaves an mlocked folio alone that is not partly mapped. 6.12 does
            not yet, and 7.2 does.
        scan_requeues_locked: a folio that the scan cannot lock goes back to the queue, flagged or not (7.2).
        scan_skips_frozen: a scan leaves a folio without references where it is (7.3); a list_lru's scan only.
        splits_underused: huge pages of zeros are queued and split, and a split gives pages of zeros the
            shared zero page (6.12).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.scan_skips_mlocked: bool = True
        self.scan_requeues_locked: bool = True
        self.scan_skips_frozen: bool = True
        self.splits_underused: bool = True
        self.thp: ThpSettings = ThpSettings()

    # Faults

    def thp_allowed(self, vma: Vma) -> bool:
        """thp_vma_allowable_order() (include/linux/huge_mm.h): for a fault at PMD size."""
        if vma.thp == "nohugepage" or self.thp.enabled == "never":
            return False
        return self.thp.enabled == "always" or vma.thp == "hugepage"

    def thp_gfp_mask(self, vma: Vma) -> i64:
        """vma_thp_gfp_mask(): how hard to try, by the defrag setting and madvise(2)."""
        advised = vma.thp == "hugepage"
        defrag = self.thp.defrag
        if defrag == "always":
            return GFP_TRANSHUGE | (0 if advised else GFP_NORETRY)
        if defrag == "defer":
            return GFP_TRANSHUGE_LIGHT | GFP_KSWAPD_RECLAIM
        if defrag == "defer+madvise":
            return GFP_TRANSHUGE_LIGHT | (GFP_DIRECT_RECLAIM if advised else GFP_KSWAPD_RECLAIM)
        if defrag == "madvise" and advised:
            return GFP_TRANSHUGE_LIGHT | GFP_DIRECT_RECLAIM
        return GFP_TRANSHUGE_LIGHT

    def do_huge_pmd_anonymous_page(self, task: Task, vma: Vma, slot: i64) -> Folio | None:
        """do_huge_pmd_anonymous_page(): a huge page, mapped by a PMD, all zeros; or None: fall back."""
        if not vma.mm.vm_hugepage:
            self.machine.khugepaged.khugepaged_enter_vma(task, vma, slot * HPAGE_PMD_NR)
        folio = self._alloc_anon_folio_pmd(task, vma, slot)
        if folio is None:
            return None
        machine = self.machine
        if machine.charges.stock_empty:
            machine.charges.charge_page_table(task.memcg, vma.mm)
        lock = vma.mm.page_table_lock
        lock.lock()
        folio.zeros = FULL_MASK
        folio.anon_vma = vma.anon_vma
        folio.index = slot * HPAGE_PMD_NR
        machine.rmap.folio_add_new_anon_rmap(folio)
        machine.lru.folio_add_lru(folio)
        vma.slots[slot] = folio
        vma.mm.nr_anon += HPAGE_PMD_NR
        machine.vmstat.count(THP_FAULT_ALLOC)
        machine.charges.count_stat(task.memcg, "thp_fault_alloc")
        machine.vmstat.mod_mthp(HPAGE_PMD_ORDER, MTHP_STAT_ANON_FAULT_ALLOC, 1)
        self.deferred_split_folio(folio, False)
        lock.unlock()
        return folio

    def _alloc_anon_folio_pmd(self, task: Task, vma: Vma, slot: i64) -> Folio | None:
        """vma_alloc_anon_folio_pmd(): allocate, charge, and make sure that it can be queued."""
        machine = self.machine
        vmstat = machine.vmstat
        gfp = self.thp_gfp_mask(vma)
        found = machine.mempolicy.alloc_huge(task, vma, slot, gfp)
        if found < 0:
            vmstat.count(THP_FAULT_FALLBACK)
            vmstat.mod_mthp(HPAGE_PMD_ORDER, MTHP_STAT_ANON_FAULT_FALLBACK, 1)
            return None
        folio = Folio(HPAGE_PMD_ORDER, found)
        if not machine.charges.charge_folio(folio, task.memcg, gfp, vma.mm):
            machine.lru.folio_put(folio)
            vmstat.count(THP_FAULT_FALLBACK)
            vmstat.count(THP_FAULT_FALLBACK_CHARGE)
            vmstat.mod_mthp(HPAGE_PMD_ORDER, MTHP_STAT_ANON_FAULT_FALLBACK, 1)
            vmstat.mod_mthp(HPAGE_PMD_ORDER, MTHP_STAT_ANON_FAULT_FALLBACK_CHARGE, 1)
            return None
        if not machine.deferred_split.prepare(folio):
            machine.lru.folio_put(folio)
            vmstat.count(THP_FAULT_FALLBACK)
            vmstat.mod_mthp(HPAGE_PMD_ORDER, MTHP_STAT_ANON_FAULT_FALLBACK, 1)
            return None
        return folio

    def split_huge_pmd(self, vma: Vma, slot: i64, folio: Folio) -> PteMap:
        """__split_huge_pmd_locked(): the PMD becomes 512 page table entries, each with a reference of its own."""
        machine = self.machine
        machine.vmstat.count(THP_SPLIT_PMD)
        folio.get(HPAGE_PMD_NR - 1)
        add_mapped(folio, FULL_MASK)
        machine.rmap.folio_remove_rmap_pmd(folio)
        munlock_vma_folio(vma, folio)
        entries = PteMap(folio, FULL_MASK, None)
        vma.slots[slot] = entries
        return entries

    # The deferred split queue

    def deferred_split_folio(self, folio: Folio, partially_mapped: bool) -> None:
        """deferred_split_folio(): who may be queued at all. The design does the rest.

        Args:
            partially_mapped: some of its pages are unmapped; else it may only turn out underused.
        """
        # Order 1 has no room for the list links.
        if folio.order <= 1:
            return
        if not partially_mapped and not (self.thp.shrink_underused and self.splits_underused):
            return
        # Reclaim has it in hand already; queueing would be useless (f8f931bba0f9).
        if folio.test_flag(PG_SWAPCACHE):
            return
        self.machine.deferred_split.enqueue(folio, partially_mapped)

    def folio_unqueue_deferred_split(self, folio: Folio) -> bool:
        """folio_unqueue_deferred_split() (mm/internal.h): what was never queued needs no lock."""
        if folio.order <= 1 or not folio.flags & PG_LARGE_RMAPPABLE:
            return False
        if list_empty(folio):
            return False
        return self.machine.deferred_split.unqueue(folio)

    def thp_underused(self, folio: Folio) -> bool:
        """thp_underused(): more pages hold only zeros than khugepaged would let a huge page have.

        With max_ptes_none at its default of 511 no huge page is underused.
        """
        max_ptes_none = self.machine.khugepaged.max_ptes_none
        if max_ptes_none == HPAGE_PMD_NR - 1 or folio.flags & PG_HWPOISON:
            return False
        nr_zero: i64 = folio.zeros.bit_count()
        return nr_zero > max_ptes_none

    def scan_folio(self, folio: Folio) -> i64:
        """Part of deferred_split_scan(): what every design has in common. One folio, referenced.

        One that is not flagged is split only if it is underused.

        Returns:
            SCAN_SPLIT, SCAN_NEXT or SCAN_REQUEUE.
        """
        underused = False
        if not folio.test_partially_mapped():
            # The zero page may not take the place of a locked page.
            if self.scan_skips_mlocked and folio.flags & PG_MLOCKED:
                return SCAN_NEXT
            underused = self.thp_underused(folio)
            if not underused:
                return SCAN_NEXT
        if not folio.trylock():
            return SCAN_REQUEUE if self.scan_requeues_locked else SCAN_NEXT
        split = self.split_folio(folio)
        if split and underused:
            self.machine.vmstat.count(THP_UNDERUSED_SPLIT_PAGE)
        folio.unlock()
        return SCAN_SPLIT if split else SCAN_NEXT

    def split_queued(self, folio: Folio) -> bool:
        """Part of deferred_split_scan(): as :meth:`scan_folio`, for a design that requeues only what is partially mapped.
        Returns whether it was split.
        """
        return self.scan_folio(folio) == SCAN_SPLIT

    # Splitting

    def split_folio(self, folio: Folio) -> bool:
        """__folio_split(): into base pages. The caller holds the folio's lock and one reference.

        Pages that nobody maps are freed, and so are mapped ones that hold only zeros: their
        entries point to the shared zero page then (try_to_map_unused_to_zeropage()).

        Returns:
            False if there are other references, or nobody maps it; nothing changed then. References that came while
            it was unmapped have cost it its PMDs.
        """
        vmstat = self.machine.vmstat
        order = folio.order
        split = False
        if can_split(folio):
            entries = self.machine.rmap.try_to_migrate(folio, True)  # unmap_folio()
            # The queue's lock is also taken by final puts in interrupts.
            local_irq_disable()
            split = self.machine.deferred_split.freeze(folio, 1)
            local_irq_enable()
            if split:
                self._split_unmapped(folio, entries)
            else:
                self.machine.rmap.remove_migration_ptes(folio, entries)
        if order == HPAGE_PMD_ORDER:
            vmstat.count(THP_SPLIT_PAGE if split else THP_SPLIT_PAGE_FAILED)
        vmstat.mod_mthp(order, MTHP_STAT_SPLIT if split else MTHP_STAT_SPLIT_FAILED, 1)
        return split

    def split_found(self, vma: Vma, folio: Folio) -> bool:
        """Split a folio that the caller has found in the region. The caller holds the page table lock and loses it.

        False if it could not be split, because somebody else holds its lock or a reference.
        """
        lock = vma.mm.page_table_lock
        if not folio.trylock():
            lock.unlock()
            return False
        folio.get()
        lock.unlock()
        split = self.split_folio(folio)
        folio.unlock()
        self.machine.lru.folio_put(folio)
        return split

    def split_huge_pages_pid(self, vma: Vma, slot: i64, mask: int) -> None:
        """split_huge_pages_pid(): of one slot, the folio that any of the pages belongs to is split whole.

        Others may map it too, but nobody may hold a reference beside those of its mappings. What could not be split
        at one of the pages is tried again at the next.
        """
        lock = vma.mm.page_table_lock
        while True:
            lock.lock()
            folio, mapped = folio_walk_start(vma, slot, mask)
            if folio is None or folio.mapcount() != folio.ref_count():
                lock.unlock()
                return
            if self.split_found(vma, folio):
                return
            here = mapped & mask
            mask &= ~((here & -here) | ((here & -here) - 1))

    def _split_unmapped(self, folio: Folio, entries: list[MigrationEntry]) -> None:
        """Part of __folio_freeze_and_split_unmapped(): the folio is frozen, unmapped and off the queue; its
        pages become base pages, or free.
        """
        machine = self.machine
        nr_pages = folio.nr_pages
        # A page that an mlocked region got back stays a page, for all that map it after that.
        zeros = folio.zeros
        if folio.flags & PG_MLOCKED or not self.splits_underused:
            zeros = 0
        objcg = folio.objcg
        kept: i64 = 0
        if entries:
            pages = BasePages(folio.nid)
            pages.objcg = objcg
            pages.not_exclusive = folio.not_exclusive
            pages.unreferenced = folio.unreferenced
            for migrated in entries:
                lock = migrated.vma.mm.page_table_lock
                lock.lock()
                migrated.entry.migrating = False
                self._remap_split(migrated.vma, migrated.entry, pages, zeros)
                if migrated.vma.locked:
                    zeros &= ~migrated.entry.mask
                lock.unlock()
            kept = pages.mapped.bit_count()
            pages.scattered = nr_pages - kept
            machine.rmap.mod_anon(pages, kept, 0)
        machine.vmstat.mod_mthp(folio.order, MTHP_STAT_NR_ANON, -1)
        freed = nr_pages - kept
        machine.pages.nodes[folio.nid].give(freed, freed if kept else 0)
        if objcg is not None:
            machine.charges.uncharge_pages(objcg, freed)
            if folio.flags & PG_LRU:
                objcg.memcg.nodeinfo[folio.nid].nr_lru -= freed
            if not kept:
                machine.objcgs.put(objcg)
        # What the caller's reference holds from here on is the first page, an order-0 folio.
        folio.order = 0
        folio.objcg = None
        folio.anon_vma = None
        folio.flags = PG_ANON | PG_LOCKED
        folio.ref_unfreeze(1)

    def _remap_split(self, vma: Vma, entry: PteMap, pages: BasePages, zeros: int) -> None:
        """Part of remap_page(): after the split, to the base pages, or to the shared zero page."""
        # An mlocked region keeps pages of its own.
        to_zero = 0 if vma.locked else entry.mask & zeros
        data = entry.mask & ~to_zero
        if data:
            entry.owner = pages
            entry.mask = data
            add_mapped(pages, data)
            if to_zero:
                entry.next = PteMap(None, to_zero, entry.next)
        else:
            entry.owner = None
        vma.mm.nr_anon -= to_zero.bit_count()
