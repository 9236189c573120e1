# SPDX-License-Identifier: GPL-2.0-only
"""mlock(2) and munlock(2), and what MADV_DONTNEED says about a locked region."""

from __future__ import annotations

import pytest

from tests.mm.small import HUGE, LOWER, UPPER, folio_at, halve, mmap, small_machine, start, touched
from thplab.mm.geometry import FULL_MASK
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_MLOCKED, Folio, Task


def test_mlock_faults_in_what_is_missing_and_marks_huge_pages(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 2)
    machine.memory.touch(task, vma, 0, 1, False)
    machine.mlock.do_mlock(task, vma)
    assert vma.locked
    assert task.mm.nr_anon == 2 * HUGE
    for slot in range(2):
        assert isinstance(vma.slots[slot], Folio)
        assert folio_at(vma, slot).flags & PG_MLOCKED


def test_munlock_leaves_the_memory_and_takes_the_mark(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1)
    machine.mlock.do_mlock(task, vma)
    machine.mlock.munlock(vma)
    assert not vma.locked
    assert task.mm.nr_anon == HUGE
    assert not folio_at(vma, 0).flags & PG_MLOCKED


def test_a_partly_mapped_folio_is_not_marked(machine: Machine, task: Task) -> None:
    """allow_mlock_munlock(): its missing pages are faulted in as base pages."""
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    halve(machine, vma)
    machine.mlock.do_mlock(task, vma)
    assert task.mm.nr_anon == HUGE
    assert not folio.flags & PG_MLOCKED


def test_a_folio_that_page_table_entries_map_whole_is_marked(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    lock = vma.mm.page_table_lock
    lock.lock()
    machine.huge_memory.split_huge_pmd(vma, 0, folio)
    lock.unlock()
    machine.mlock.do_mlock(task, vma)
    assert folio.flags & PG_MLOCKED


def test_mlock_of_a_region_cut_by_munmap_leaves_the_gap(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1)
    machine.memory.unmap_part(vma, 0, UPPER)
    machine.mlock.do_mlock(task, vma)
    assert task.mm.nr_anon == HUGE // 2


def test_mlock_ends_when_the_task_is_killed() -> None:
    machine = small_machine(mebibytes=64)
    task = start(machine)
    vma = mmap(machine, task, 64)
    machine.mlock.do_mlock(task, vma)
    assert task.mm.killed
    assert task.name not in machine.tasks


@pytest.mark.parametrize("mask", [LOWER, FULL_MASK])
def test_dontneed_of_a_locked_region_is_refused_and_frees_nothing(
    mask: int, machine: Machine, task: Task
) -> None:
    vma = touched(machine, task, 1)
    machine.mlock.do_mlock(task, vma)
    assert not machine.madvise.dontneed(vma, 0, mask)
    assert task.mm.nr_anon == HUGE
    machine.mlock.munlock(vma)
    assert machine.madvise.dontneed(vma, 0, mask)
    assert task.mm.nr_anon == HUGE - mask.bit_count()


@pytest.mark.parametrize("pt_reclaim", [True, False])
def test_dontneed_of_a_whole_slot_frees_its_page_table(
    pt_reclaim: bool, machine: Machine, task: Task
) -> None:
    machine.madvise.pt_reclaim = pt_reclaim
    vma = touched(machine, task, 1)
    halve(machine, vma)
    assert machine.madvise.dontneed(vma, 0, FULL_MASK)
    assert vma.slots[0] is None
    assert vma.empty_tables == (set() if pt_reclaim else {0})
