# SPDX-License-Identifier: GPL-2.0-only
"""Page faults and unmapping, one huge-page-sized slot at a time (mm/memory.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.gfp import GFP_KERNEL
from thplab.mm.memcontrol import ObjCgroup
from thplab.mm.mempolicy import Mempolicy
from thplab.mm.mlock import mlock_vma_folio, munlock_vma_folio
from thplab.mm.mm_types import BasePages, Folio, PteMap, Task, Vma
from thplab.mm.rmap import add_mapped
from thplab.mm.vma import anon_vma_prepare, cut_vma, in_pieces, vma_covers

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Memory", "lowest_bits"]


def lowest_bits(mask: int, count: i64) -> int:
    """The `count` lowest bits that are set in `mask`."""
    if mask.bit_count() <= count:
        return mask
    chosen = 0
    for _ in range(count):
        bit = mask & -mask
        chosen |= bit
        mask &= ~bit
    return chosen


@mypyc_attr(allow_interpreted_subclasses=True)
class Memory:
    """Faults and unmapping of one machine.

    Attributes:
        reuse_large_folio: a write after a fork may keep a page of a large folio (CONFIG_MM_ID, 6.15).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.reuse_large_folio: bool = True

    # Faults

    def touch(self, task: Task, vma: Vma, slot: i64, mask: int, zeros: bool) -> bool:
        """Write to the base pages of `mask` in this slot. False if the task was killed on the way.

        Args:
            zeros: what is written leaves them all zero.
        """
        done = self._write_fault(task, vma, slot, mask, zeros, True)
        self._return_to_user(task)
        return done

    def _return_to_user(self, task: Task) -> None:
        """resume_user_mode_work() (include/linux/resume_user_mode.h): the task pays for what it charged over
        a memory.high.
        """
        if task.mm.nr_pages_over_high:
            self.machine.charges.handle_over_high(task.memcg, task.mm)

    def populate(self, task: Task, vma: Vma, slot: i64, mask: int) -> bool:
        """populate_vma_page_range() (mm/gup.c): for mlock(2), a write fault each, because the region is
        private and writable (FOLL_WRITE). So what a fork shares is copied, but nothing is written.
        """
        return self._write_fault(task, vma, slot, mask, True, False)

    def _write_fault(
        self, task: Task, vma: Vma, slot: i64, mask: int, zeros: bool, stored: bool
    ) -> bool:
        here = vma.slots[slot]
        if vma.old:
            self._make_young(vma, slot, mask)
        if here is None:
            whole = int(slot) not in vma.empty_tables and vma_covers(vma, slot)
            huge = self.machine.huge_memory
            if whole and huge.thp_allowed(vma):
                if vma.untouched:
                    anon_vma_prepare(vma, slot, mask)
                folio = huge.do_huge_pmd_anonymous_page(task, vma, slot)
                if folio is not None:
                    mlock_vma_folio(vma, folio)
                    if stored and task.mm.nr_pages_over_high:
                        # The task writes only after its return, on which it may lose the page, all zero as yet.
                        self._return_to_user(task)
                        if vma.slots[slot] is not folio:
                            return self._touch_ptes(task, vma, slot, mask, zeros, stored)
                    if not zeros:
                        folio.zeros = self._without(folio.zeros, mask)
                    return True
            return self._fault_base(task, vma, slot, mask)
        if isinstance(here, Folio):
            if here.entire_mapcount > 1 or here.mapped:
                # Shared after a fork: do_huge_pmd_wp_page() copies page by page.
                lock = vma.mm.page_table_lock
                lock.lock()
                self.machine.huge_memory.split_huge_pmd(vma, slot, here)
                lock.unlock()
            else:
                here.not_exclusive = 0
                if not stored:
                    return True
                if zeros:
                    here.zeros |= mask
                else:
                    here.zeros = self._without(here.zeros, mask)
                return True
        return self._touch_ptes(task, vma, slot, mask, zeros, stored)

    def _make_young(self, vma: Vma, slot: i64, mask: int) -> None:
        """pte_mkyoung() (arch/x86/include/asm/pgtable.h): what a task uses is young; a PMD as a whole."""
        rest = vma.old.pop(int(slot), 0) & ~mask
        if rest and not isinstance(vma.slots[slot], Folio):
            vma.old[int(slot)] = rest

    def _without(self, mask: int, taken: int) -> int:
        """Bulk work asks for the same difference again and again: let the results share memory."""
        if mask is self._last_mask and taken is self._last_taken:
            return self._last_result
        self._last_mask = mask
        self._last_taken = taken
        self._last_result = mask & ~taken
        return self._last_result

    _last_mask: int = 0
    _last_taken: int = 0
    _last_result: int = 0

    def _touch_ptes(
        self, task: Task, vma: Vma, slot: i64, mask: int, zeros: bool, stored: bool
    ) -> bool:
        """handle_pte_fault(): for each page of the mask."""
        missing = mask
        shared = 0
        here = vma.slots[slot]
        entry = here if isinstance(here, PteMap) else None
        while entry is not None:
            hit = entry.mask & mask
            owner = entry.owner
            if hit and owner is not None:
                missing &= ~hit
                others = self._to_copy(owner, entry, hit)
                shared |= others
                if stored and isinstance(owner, Folio):
                    written = hit & ~others
                    owner.zeros = owner.zeros | written if zeros else owner.zeros & ~written
            entry = entry.next
        # A write to the zero page, or to a page that a forked task maps too, gets a page of its own.
        replaced = (missing & self._present(vma, slot)) | shared
        if shared:
            # wp_page_copy() goes page by page: after the first one a folio is partly mapped.
            self.zap(vma, slot, shared & -shared)
        if replaced:
            self.zap(vma, slot, replaced)
        missing |= shared
        return self._fault_base(task, vma, slot, missing) if missing else True

    def _to_copy(self, owner: BasePages | Folio | object, entry: PteMap, hit: int) -> int:
        """do_wp_page(): the pages of `hit` that a write must copy, because a fork shared them.

        A base page is reused when nobody else maps it any more (wp_can_reuse_anon_folio()). A page
        of a large folio is, since 6.15, only when nobody else maps any page of the folio. The last
        mapped page is copied all the same, because then the whole folio goes
        (__wp_can_reuse_large_anon_folio()).
        """
        if isinstance(owner, Folio):
            shared = hit & owner.not_exclusive
            mapped: i64 = entry.mask.bit_count()
            alone = mapped > 1 and not owner.entire_mapcount and owner.refcount == mapped
            if shared and alone and self.reuse_large_folio:
                owner.not_exclusive &= ~shared
                return 0
            return shared
        if isinstance(owner, BasePages):
            shared = hit & owner.more_mapped[0] if owner.more_mapped else 0
            if owner.not_exclusive:
                owner.not_exclusive &= ~(hit & ~shared)
            return shared
        return 0

    def _present(self, vma: Vma, slot: i64) -> int:
        """Base pages of the slot that an entry points to, the zero page included."""
        here = vma.slots[slot]
        if here is None:
            return 0
        if isinstance(here, Folio):
            return FULL_MASK
        present = 0
        entry: PteMap | None = here
        while entry is not None:
            present |= entry.mask
            entry = entry.next
        return present

    def _fault_base(self, task: Task, vma: Vma, slot: i64, mask: int) -> bool:
        """do_anonymous_page(): at base page size, for each page of the mask."""
        if vma.untouched:
            anon_vma_prepare(vma, slot, mask)
        mempolicy = self.machine.mempolicy
        policy = mempolicy.get_vma_policy(task, vma)
        if policy is None:
            return self._fault_from(task, vma, slot, mask, task.cpu_nid)
        if policy.interleaves:
            return self._fault_interleaved(task, vma, slot, mask, policy)
        nid = policy.preferred_nid(task.cpu_nid, 0, mempolicy.weights)
        return self._fault_from(task, vma, slot, mask, nid)

    def _fault_interleaved(
        self, task: Task, vma: Vma, slot: i64, mask: int, policy: Mempolicy
    ) -> bool:
        """Part of do_anonymous_page(): page by page in turn, by place."""
        turns: dict[int, int] = {}
        rest = mask
        while rest:
            bit = rest & -rest
            rest &= ~bit
            place = slot * HPAGE_PMD_NR + (bit.bit_length() - 1)
            nid = policy.preferred_nid(task.cpu_nid, place, self.machine.mempolicy.weights)
            turns[int(nid)] = turns.get(int(nid), 0) | bit
        for chosen in sorted(turns):
            if not self._fault_from(task, vma, slot, turns[chosen], chosen):
                return False
        return True

    def _fault_from(self, task: Task, vma: Vma, slot: i64, mask: int, nid: i64) -> bool:
        """Part of do_anonymous_page(): allocate, charge and map the pages of the mask, looking on `nid` first."""
        machine = self.machine
        mm = vma.mm
        memcg = task.memcg
        while mask:
            wanted: i64 = mask.bit_count()
            room = memcg.memory.room()
            if room < wanted:
                # At a limit the kernel charges page by page; each may cause reclaim of its own.
                wanted = room if room > 0 else 1
            if not machine.charges.try_charge(memcg, wanted, GFP_KERNEL, mm):
                return False
            found, count = machine.mempolicy.alloc_base(task, vma, nid, wanted, GFP_KERNEL)
            if found < 0 or count < wanted:
                machine.charges.cancel_charge(memcg, wanted - count)
            if found < 0:
                return False
            if mm.killed:
                machine.charges.cancel_charge(memcg, count)
                machine.pages.nodes[found].give(count)
                return False
            chosen = lowest_bits(mask, count)
            mask &= ~chosen
            if machine.memcg.disabled:
                self.map_pages(vma, slot, chosen, found, None)
            else:
                objcg = machine.charges.commit_base(memcg, found, count)
                self.map_pages(vma, slot, chosen, found, objcg)
                machine.objcgs.put(objcg)
            # Each page is a fault of its own.
            self._return_to_user(task)
        return True

    def map_pages(
        self, vma: Vma, slot: i64, mask: int, nid: i64, objcg: ObjCgroup | None
    ) -> BasePages:
        """New base pages on a node, charged already, for the pages of the mask."""
        machine = self.machine
        count = mask.bit_count()
        pages = BasePages(nid)
        if objcg is not None:
            objcg.get()
            pages.objcg = objcg
            objcg.memcg.nodeinfo[nid].nr_lru += count
        lock = vma.mm.page_table_lock
        lock.lock()
        add_mapped(pages, mask)
        here = vma.slots[slot]
        vma.slots[slot] = PteMap(pages, mask, here if isinstance(here, PteMap) else None)
        vma.empty_tables.discard(int(slot))
        machine.rmap.mod_anon(pages, count, 0)
        vma.mm.nr_anon += count
        lock.unlock()
        return pages

    # Unmapping

    def zap_page_range(self, vma: Vma, slot: i64, mask: int) -> None:
        """zap_vma_range(): of each VMA that has pages of `mask` in the slot."""
        if not vma.anon_vma.cut:
            self.zap(vma, slot, mask)
            return
        for part in in_pieces(vma, slot, mask):
            self.zap(vma, slot, part)

    def zap(self, vma: Vma, slot: i64, mask: int) -> None:
        """zap_pmd_range(): of one slot. The entries of `mask` go; then the memory's references."""
        here = vma.slots[slot]
        if here is None:
            return
        machine = self.machine
        lock = vma.mm.page_table_lock
        lock.lock()
        here = vma.slots[slot]
        entry: PteMap | None = None
        if isinstance(here, Folio):
            if mask & FULL_MASK == FULL_MASK:
                vma.slots[slot] = None
                vma.mm.nr_anon -= HPAGE_PMD_NR
                machine.rmap.folio_remove_rmap_pmd(here)
                munlock_vma_folio(vma, here)
                lock.unlock()
                machine.lru.folio_put(here)
                return
            entry = machine.huge_memory.split_huge_pmd(vma, slot, here)
        elif isinstance(here, PteMap):
            entry = here
        to_put: list[tuple[Folio, int]] = []
        while entry is not None:
            hit = entry.mask & mask
            if hit:
                entry.mask = self._without(entry.mask, hit)
                self._zap_entries(vma, entry, hit, to_put)
            entry = entry.next
        self._drop_empty(vma, slot)
        if vma.slots[slot] is None:
            vma.empty_tables.add(int(slot))
        lock.unlock()
        for folio, count in to_put:
            machine.lru.folio_put(folio, count)

    def _zap_entries(
        self, vma: Vma, entry: PteMap, hit: int, to_put: list[tuple[Folio, int]]
    ) -> None:
        """Part of zap_pmd_range(): entries of one folio, or of base pages."""
        owner = entry.owner
        if owner is None:
            return
        count = hit.bit_count()
        vma.mm.nr_anon -= count
        if entry.migrating:
            # Its reference and its mapping count are gone already.
            return
        if isinstance(owner, Folio):
            self.machine.rmap.folio_remove_rmap_ptes(owner, hit)
            munlock_vma_folio(vma, owner)
            to_put.append((owner, count))
        elif isinstance(owner, BasePages):
            self.machine.lru.unmap_base_pages(owner, hit)

    def _drop_empty(self, vma: Vma, slot: i64) -> None:
        """Forget entries that point nowhere; migration entries are still being worked on."""
        kept: list[PteMap] = []
        here = vma.slots[slot]
        entry = here if isinstance(here, PteMap) else None
        while entry is not None:
            if entry.mask or entry.migrating:
                kept.append(entry)
            entry = entry.next
        following: PteMap | None = None
        for entry in reversed(kept):
            entry.next = following
            following = entry
        vma.slots[slot] = following

    def unmap_vma(self, vma: Vma) -> None:
        """munmap(2) (mm/mmap.c): all of it, and the region is gone."""
        for slot in range(len(vma.slots)):
            if vma.slots[slot] is not None:
                self.zap_page_range(vma, slot, FULL_MASK)
        vma.anon_vma.vmas.remove(vma)
        del vma.mm.vmas[vma.name]

    def unmap_part(self, vma: Vma, slot: i64, mask: int) -> None:
        """munmap(2) (mm/mmap.c): of each run of pages of a slot. No huge page fits there any more."""
        first = slot * HPAGE_PMD_NR
        rest = mask & FULL_MASK
        while rest:
            lowest = rest & -rest
            run = rest & ~(rest + lowest)
            rest &= ~run
            self.zap_page_range(vma, slot, run)
            vma.gone[int(slot)] = vma.gone.get(int(slot), 0) | run
            cut_vma(vma, first + lowest.bit_length() - 1, first + run.bit_length())
