# SPDX-License-Identifier: GPL-2.0-only
"""What all of mm/ shares: folios, and the address spaces that map them (include/linux/mm_types.h, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import UseAfterFree
from thplab.cpu.hook import H, warn_once
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import RCU_LOAD
from thplab.cpu.spinlock import LockClass, SpinLock
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, order_mask
from thplab.mm.memcontrol import MemCgroup, ObjCgroup
from thplab.mm.mempolicy import Mempolicy

__all__ = [
    "PG_ANON",
    "PG_DEVICE_PRIVATE",
    "PG_HWPOISON",
    "PG_LARGE_RMAPPABLE",
    "PG_LOCKED",
    "PG_LRU",
    "PG_MLOCKED",
    "PG_PARTIALLY_MAPPED",
    "PG_SWAPCACHE",
    "PROT_READ",
    "PROT_WRITE",
    "AnonVma",
    "BasePages",
    "Folio",
    "Mapped",
    "MmStruct",
    "PteMap",
    "Task",
    "Vma",
    "VmaPiece",
    "folio_memcg",
]

PG_LOCKED: Final[i64] = 1 << 0
PG_LRU: Final[i64] = 1 << 1
PG_MLOCKED: Final[i64] = 1 << 2
PG_SWAPCACHE: Final[i64] = 1 << 3
PG_ANON: Final[i64] = 1 << 4
PG_LARGE_RMAPPABLE: Final[i64] = 1 << 5
PG_PARTIALLY_MAPPED: Final[i64] = 1 << 6
PG_HWPOISON: Final[i64] = 1 << 7
PG_DEVICE_PRIVATE: Final[i64] = 1 << 8

PROT_READ: Final[i64] = 1
PROT_WRITE: Final[i64] = 2

PAGE_TABLE_LOCK: Final = LockClass("ptlock_ptr(ptdesc)")


@mypyc_attr(acyclic=True)
class Forked:
    """Kept apart, because most memory is never shared: a folio is to stay small.

    Attributes:
        layers: base pages mapped by at least two, three ... entries; or None.
        not_exclusive: see Mapped.not_exclusive. unreferenced: see Mapped.unreferenced.
    """

    def __init__(self) -> None:
        self.layers: list[int] | None = None
        self.not_exclusive: int = 0
        self.unreferenced: int = 0


@mypyc_attr(acyclic=True)
class Mapped(KernelObject):
    """Memory that page table entries point to: which of its base pages are mapped, and how often.

    Attributes:
        nid: the node that it is on.
        objcg: what it is charged to, or None (struct folio's memcg_data).
        mapped: base pages mapped by at least one page table entry, a bit each.
        forked: what only memory that a fork shared needs to know; None for the rest.
    """

    def __init__(self, refcount: i64, nid: i64) -> None:
        super().__init__(refcount)
        self.nid: i64 = nid
        self.objcg: ObjCgroup | None = None
        self.mapped: int = 0
        self.forked: Forked | None = None

    @property
    def more_mapped(self) -> list[int] | None:
        """Base pages mapped by at least two, three ... entries; or None."""
        forked = self.forked
        return None if forked is None else forked.layers

    @more_mapped.setter
    def more_mapped(self, layers: list[int] | None) -> None:
        if self.forked is None:
            if layers is None:
                return
            self.forked = Forked()
        self.forked.layers = layers

    @property
    def not_exclusive(self) -> int:
        """Base pages that a fork shared and that nobody has taken for their own since
        (PageAnonExclusive() is clear), a bit each.
        """
        forked = self.forked
        return 0 if forked is None else forked.not_exclusive

    @not_exclusive.setter
    def not_exclusive(self, mask: int) -> None:
        if self.forked is None:
            if not mask:
                return
            self.forked = Forked()
        self.forked.not_exclusive = mask

    @property
    def unreferenced(self) -> int:
        """Base pages whose folio was not referenced (PG_referenced is clear), a bit each. A fault sets it, MADV_COLD clears it."""
        forked = self.forked
        return 0 if forked is None else forked.unreferenced

    @unreferenced.setter
    def unreferenced(self, mask: int) -> None:
        if self.forked is None:
            if not mask:
                return
            self.forked = Forked()
        self.forked.unreferenced = mask


@mypyc_attr(acyclic=True)
class BasePages(Mapped):
    """Base pages that lie in one huge-page-sized range and have node and cgroup in common.

    The kernel has a folio of order 0 for each; here they are a bit each of `mapped`, in their place
    in the range. A page whose bit goes is freed.

    Attributes:
        scattered: pages of the range that are free while others are in use: no part of a huge page.
    """

    def __init__(self, nid: i64) -> None:
        super().__init__(1, nid)
        self.scattered: i64 = 0

    def __repr__(self) -> str:
        return f"base pages({self.mapped.bit_count()}, node {self.nid})"


@mypyc_attr(acyclic=True)
class Folio(Mapped):
    """struct folio of order 1 and more. As a list entry it is `_deferred_list`.

    Attributes:
        order: 2 ** order base pages.
        entire_mapcount: PMD entries that map the whole folio (_entire_mapcount + 1).
        zeros: base pages that hold only zeros, a bit each.
        anon_vma: where its mappings are found, or None.
        index: the huge-page-sized slot of the region that it lies in, times 512, plus its first
            page's place there.
    """

    def __init__(self, order: i64, nid: i64, flags: i64 = PG_ANON | PG_LARGE_RMAPPABLE) -> None:
        super().__init__(1, nid)
        self.flags = flags
        self.order: i64 = order
        self.entire_mapcount: i64 = 0
        self.zeros: int = 0
        self.anon_vma: AnonVma | None = None
        self.index: i64 = 0

    def __repr__(self) -> str:
        place = f"folio(order {self.order}, node {self.nid}, index {self.index}"
        return f"{place}, refcount {self.refcount}, flags {self.flags:#x})"

    @property
    def nr_pages(self) -> i64:
        """folio_nr_pages() (include/linux/mm.h)."""
        return i64(1) << self.order

    def test_partially_mapped(self) -> bool:
        """folio_test_partially_mapped() (include/linux/page-flags.h).

        Raises:
            UseAfterFree: the folio was freed.
        """
        flagged = self.test_flag(PG_PARTIALLY_MAPPED)
        if self.is_freed():
            raise UseAfterFree(f"folio_test_partially_mapped() on a freed folio: {self!r}")
        return flagged

    def trylock(self) -> bool:
        """folio_trylock() (include/linux/pagemap.h)."""
        return not self.test_and_set_flag(PG_LOCKED)

    def unlock(self) -> None:
        """folio_unlock() (mm/filemap.c)."""
        self.clear_flag(PG_LOCKED)

    def mapcount(self) -> i64:
        """folio_mapcount() (include/linux/mm.h): the PMDs and the page table entries that map it or a page of it."""
        count: i64 = self.entire_mapcount
        if self.mapped:
            count += self.mapped.bit_count()
        forked = self.forked
        if forked is not None and forked.layers is not None:
            for layer in forked.layers:
                count += layer.bit_count()
        return count

    def page_mapped_mask(self) -> int:
        """The base pages that are mapped at all, by a PMD or by page table entries."""
        return order_mask(self.order) if self.entire_mapcount else self.mapped


def folio_memcg(folio: Folio) -> MemCgroup | None:
    """folio_memcg() (include/linux/memcontrol.h): the cgroup that the folio is charged to now; it may change when
    one goes offline.


    Whoever reads it stays in an RCU read section, or holds a reference, as long as it is used
    (obj_cgroup_memcg()).
    """
    if H.cpu.rcu_nesting == 0:
        warn_once("WARNING: suspicious RCU usage: folio_memcg() outside an RCU read section")
    objcg = folio.objcg
    return None if objcg is None else obj_cgroup_memcg(objcg)


def obj_cgroup_memcg(objcg: ObjCgroup) -> MemCgroup:
    """obj_cgroup_memcg() (include/linux/memcontrol.h): to whom the objcg belongs now; under RCU."""
    if H.on:
        H.watcher.point(RCU_LOAD, objcg)
        memcg = objcg.memcg
        H.watcher.done(RCU_LOAD, objcg, memcg)
        return memcg
    return objcg.memcg


# Address spaces


@mypyc_attr(acyclic=True)
class PteMap:
    """Page table entries of one huge-page-sized slot that point to one piece of memory.

    Attributes:
        owner: the folio or the base pages; None for the shared zero page.
        mask: the entries, a bit each, by their place in the slot.
        migrating: the entries are migration entries: they hold no reference and are not mapped.
        next: further entries of the same slot.
    """

    def __init__(self, owner: Mapped | None, mask: int, following: PteMap | None) -> None:
        self.owner: Mapped | None = owner
        self.mask: int = mask
        self.migrating: bool = False
        self.next: PteMap | None = following


class AnonVma:
    """struct anon_vma: the regions that may map a folio, at the same place in each.

    Attributes:
        vmas: the regions. The order of a walk is that of mm/interval_tree.py.
        cut: some region is, or was, in several pieces.
    """

    def __init__(self) -> None:
        self.vmas: list[Vma] = []
        self.cut: bool = False
        self._turn: i64 = 0

    def next_turn(self) -> i64:
        """The place in the order of insertion of what is inserted next."""
        self._turn += 1
        return self._turn


@mypyc_attr(acyclic=True)
class VmaPiece:
    """The base pages `first` to `end` - 1 of a region: a VMA in the kernel (thplab.mm.vma).

    Attributes:
        turn: when it was inserted into its anon_vma's tree.
        access: PROT_READ and PROT_WRITE.
        anon: stands for its anon_vma; 0 until it is touched. Pieces with different ones are not merged.
        forked: it is a copy of a VMA that had an anon_vma (vma_is_fork_child()).
    """

    def __init__(self, first: i64, end: i64, turn: i64) -> None:
        self.first: i64 = first
        self.end: i64 = end
        self.turn: i64 = turn
        self.access: i64 = PROT_READ | PROT_WRITE
        self.anon: i64 = 0
        self.forked: bool = False

    def part(self, first: i64, end: i64, turn: i64) -> VmaPiece:
        """Some of its pages, as a VMA of their own (vm_area_dup())."""
        piece = VmaPiece(first, end, turn)
        piece.access = self.access
        piece.anon = self.anon
        piece.forked = self.forked
        return piece


class Vma:
    """struct vm_area_struct: a named region of private anonymous memory, aligned to huge pages.

    Attributes:
        nr_pages: its length in base pages.
        slots: for each huge-page-sized slot nothing, the folio that a PMD maps whole, or the page
            table entries.
        empty_tables: slots whose page table is there and has no entry: no huge page fits in.
        gone: for each slot with unmapped pages, which (munmap(2) of a part).
        pieces: what munmap(2) has left, in ascending order; each is a VMA of its own in the kernel.
        untouched: a piece has no anon_vma yet.
        old: for each slot the entries that were not used since a fork or MADV_COLD (pte_young() is false), a bit each.
        vm_start: where it begins in its address space, in base pages; mmap(2) goes from the top down.
    """

    def __init__(
        self, mm: MmStruct, name: str, nr_pages: i64, policy: Mempolicy | None, thp: str
    ) -> None:
        self.mm: MmStruct = mm
        self.name: str = name
        self.nr_pages: i64 = nr_pages
        self.policy: Mempolicy | None = policy
        self.thp: str = thp
        self.locked: bool = False
        nr_slots = (nr_pages + HPAGE_PMD_NR - 1) // HPAGE_PMD_NR
        self.slots: list[Folio | PteMap | None] = [None] * int(nr_slots)
        mm.lowest -= (nr_slots + 1) * HPAGE_PMD_NR
        self.vm_start: i64 = mm.lowest
        self.gone: dict[int, int] = {}
        self.untouched: bool = True
        self.empty_tables: set[int] = set()
        self.old: dict[int, int] = {}
        self.anon_vma: AnonVma = AnonVma()
        self.anon_vma.vmas.append(self)
        self.pieces: list[VmaPiece] = [VmaPiece(0, nr_pages, self.anon_vma.next_turn())]

    def slot_mask(self, slot: i64) -> int:
        """The base pages that the region has in this slot: all 512, or fewer in the last one."""
        left = self.nr_pages - slot * HPAGE_PMD_NR
        if left >= HPAGE_PMD_NR:
            return FULL_MASK
        return (1 << int(left)) - 1


class MmStruct:
    """struct mm_struct: the regions of one address space, in the order mapped.

    Attributes:
        vm_hugepage: khugepaged scans it (MMF_VM_HUGEPAGE).
        lowest: the lowest address that a region has had, in base pages.
    """

    def __init__(self) -> None:
        self.vmas: dict[str, Vma] = {}
        self.vm_hugepage: bool = False
        self.lowest: i64 = 0
        self.page_table_lock: SpinLock = SpinLock(PAGE_TABLE_LOCK)
        self.killed: bool = False
        self.nr_anon: i64 = 0
        """MM_ANONPAGES: base pages mapped."""
        self.nr_pages_over_high: i64 = 0
        """memcg_nr_pages_over_high of the one task that has it: base pages charged while a cgroup was over
        its memory.high, for which the task reclaims when it returns to user space."""


class Task:
    """struct task_struct: a process with its own address space.

    Attributes:
        cpu_nid: the node whose CPUs it runs on; where memory comes from without a policy.
    """

    def __init__(self, name: str, memcg: MemCgroup, oom_score_adj: i64 = 0) -> None:
        self.name: str = name
        self.memcg: MemCgroup = memcg
        self.oom_score_adj: i64 = oom_score_adj
        self.policy: Mempolicy | None = None
        self.cpu_nid: i64 = 0
        self.mm: MmStruct = MmStruct()

    def __repr__(self) -> str:
        return f"task {self.name}"
