# SPDX-License-Identifier: GPL-2.0-only
"""Access to memory: mprotect(2) (mm/mprotect.c, 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.mm_types import PROT_WRITE, Folio, Task, Vma
from thplab.mm.vma import mask_in, piece_at, vma_modify

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Mprotect"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Mprotect:
    """Protection on one machine.

    Attributes:
        merges_into_untouched: memory that was touched is merged into a neighbour that was not (6.16).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.merges_into_untouched: bool = True

    def do_mprotect(self, task: Task, vma: Vma, first: i64, end: i64, access: i64) -> None:
        """do_mprotect_pkey(): of the base pages `first` to `end` - 1, all of them mapped, VMA by VMA."""
        at = piece_at(vma, first)
        while first < end:
            piece = vma.pieces[at]
            stop = min(piece.end, end)
            if piece.access != access:
                at = self._mprotect_fixup(task, vma, at, first, stop, access)
                stop = vma.pieces[at].end
            at += 1
            first = stop

    def _mprotect_fixup(
        self, task: Task, vma: Vma, at: int, first: i64, end: i64, access: i64
    ) -> int:
        """mprotect_fixup(): pages of one VMA. A huge page of which they are a part loses its PMD, no more.

        An mlocked region that becomes writable is populated at once.
        """
        was = vma.pieces[at].access
        at = vma_modify(vma, at, first, end, access, self.merges_into_untouched)
        for slot in (first // HPAGE_PMD_NR, (end - 1) // HPAGE_PMD_NR):
            if mask_in(first, end, slot * HPAGE_PMD_NR) != FULL_MASK:
                self._split_huge_pmd(vma, slot)
        if vma.locked and access & PROT_WRITE and not was & PROT_WRITE:
            for slot in range(first // HPAGE_PMD_NR, (end - 1) // HPAGE_PMD_NR + 1):
                mask = mask_in(first, end, slot * HPAGE_PMD_NR)
                if not self.machine.memory.populate(task, vma, slot, mask):
                    break
        return at

    def _split_huge_pmd(self, vma: Vma, slot: i64) -> None:
        """Part of change_pmd_range(): a part of a huge page; vma_adjust_trans_huge() does the same at a boundary."""
        lock = vma.mm.page_table_lock
        lock.lock()
        here = vma.slots[slot]
        if isinstance(here, Folio):
            self.machine.huge_memory.split_huge_pmd(vma, slot, here)
        lock.unlock()
