# SPDX-License-Identifier: GPL-2.0-only
"""Tasks, their address spaces, and what their page tables hold (include/linux/mm_types.h, sched.h, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.spinlock import LockClass, SpinLock
from thplab.mm.folio import Folio, Mapped
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mempolicy import Mempolicy

__all__ = ["AnonVma", "MmStruct", "PteMap", "Task", "Vma", "VmaPiece"]

PAGE_TABLE_LOCK: Final = LockClass("ptlock_ptr(ptdesc)")


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
        cut: some region has been cut by munmap(2) of a part.
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
    """The base pages `first` to `end` - 1 of a region, which no munmap(2) has cut so far.

    Attributes:
        turn: when it was inserted into its anon_vma's tree.
    """

    def __init__(self, first: i64, end: i64, turn: i64) -> None:
        self.first: i64 = first
        self.end: i64 = end
        self.turn: i64 = turn


class Vma:
    """struct vm_area_struct: a named region of private anonymous memory, aligned to huge pages.

    Attributes:
        nr_pages: its length in base pages.
        slots: for each huge-page-sized slot nothing, the folio that a PMD maps whole, or the page
            table entries.
        empty_tables: slots whose page table is there and has no entry: no huge page fits in.
        gone: for each slot with unmapped pages, which (munmap(2) of a part).
        pieces: what munmap(2) has left, in ascending order; each is a VMA of its own in the kernel.
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
        self.gone: dict[int, int] = {}
        self.empty_tables: set[int] = set()
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
    """struct mm_struct: the regions of one address space, in the order mapped."""

    def __init__(self) -> None:
        self.vmas: dict[str, Vma] = {}
        self.page_table_lock: SpinLock = SpinLock(PAGE_TABLE_LOCK)
        self.killed: bool = False
        self.nr_anon: i64 = 0
        """MM_ANONPAGES: base pages mapped."""


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
