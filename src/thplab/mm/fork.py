# SPDX-License-Identifier: GPL-2.0-only
"""Copying an address space (mm/mmap.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.mm_types import BasePages, Folio, PteMap, Task, Vma, VmaPiece
from thplab.mm.rmap import add_mapped

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["copy_mm"]


def copy_mm(machine: Machine, parent: Task, child: Task) -> None:
    """dup_mmap(): each region again, mapping the same memory at the same place."""
    for name, vma in parent.mm.vmas.items():
        copy = Vma(child.mm, name, vma.nr_pages, vma.policy, vma.thp)
        copy.gone = dict(vma.gone)
        copy.anon_vma = vma.anon_vma
        vma.anon_vma.vmas.append(copy)
        copy.pieces = [_copy_piece(piece, vma) for piece in vma.pieces]
        copy.untouched = vma.untouched
        child.mm.vmas[name] = copy
        lock = vma.mm.page_table_lock
        lock.lock()
        copy.empty_tables = set(vma.empty_tables)
        for slot in range(len(vma.slots)):
            _copy_slot(machine, vma, copy, slot)
        lock.unlock()
    machine.khugepaged.khugepaged_fork(parent, child)


def _copy_piece(piece: VmaPiece, vma: Vma) -> VmaPiece:
    """anon_vma_fork() (mm/rmap.c): what the child touches from now on has an anon_vma of its own, in each VMA another."""
    copy = piece.part(piece.first, piece.end, vma.anon_vma.next_turn())
    if piece.anon:
        copy.anon = copy.turn
        copy.forked = True
    return copy


def _copy_slot(machine: Machine, vma: Vma, copy: Vma, slot: int) -> None:
    """Part of copy_page_range() (mm/memory.c): one slot."""
    here = vma.slots[slot]
    if here is None:
        return
    # What the child has not used yet is old (__copy_present_ptes(), copy_huge_pmd()).
    copy.old[slot] = FULL_MASK
    if isinstance(here, Folio):
        here.get()
        here.not_exclusive = FULL_MASK
        machine.rmap.folio_add_anon_rmap_pmd(here)
        copy.slots[slot] = here
        copy.mm.nr_anon += HPAGE_PMD_NR
        return
    entry: PteMap | None = here
    head: PteMap | None = None
    while entry is not None:
        owner = entry.owner
        head = PteMap(owner, entry.mask, head)
        count = entry.mask.bit_count()
        if owner is not None:
            owner.not_exclusive |= entry.mask
        if isinstance(owner, Folio):
            owner.get(count)
            machine.rmap.folio_add_anon_rmap_ptes(owner, entry.mask)
        elif isinstance(owner, BasePages):
            add_mapped(owner, entry.mask)
        if owner is not None:
            copy.mm.nr_anon += count
        entry = entry.next
    copy.slots[slot] = head
