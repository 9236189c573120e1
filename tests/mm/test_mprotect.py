# SPDX-License-Identifier: GPL-2.0-only
"""mprotect(2): what it does to huge pages, and what others do across the boundary afterwards."""

from __future__ import annotations

import pytest

from tests.mm.small import HUGE, LOWER, UPPER, event, folio_at, mmap, small_machine, start, touched
from thplab.mm.collapse import CollapseControl
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import (
    PG_MLOCKED,
    PG_PARTIALLY_MAPPED,
    PROT_READ,
    PROT_WRITE,
    Folio,
    Task,
    Vma,
)

BOTH = PROT_READ | PROT_WRITE


@pytest.fixture
def scene() -> tuple[Machine, Task, Vma]:
    """Two huge pages, none queued."""
    machine = small_machine()
    machine.huge_memory.thp.shrink_underused = False
    task = start(machine)
    return machine, task, touched(machine, task, 2)


def test_a_part_of_a_huge_page_takes_its_pmd_and_no_more(scene: tuple[Machine, Task, Vma]) -> None:
    machine, task, vma = scene
    machine.mprotect.do_mprotect(task, vma, 256, HUGE + 256, 0)
    assert event(machine, "thp_split_pmd") == 2
    assert event(machine, "thp_split_page") == 0
    for slot in range(2):
        assert not isinstance(vma.slots[slot], Folio)
        assert not folio_at(vma, slot).flags & PG_PARTIALLY_MAPPED
    assert check(machine) == []


def test_whole_huge_pages_and_an_access_that_they_have_change_nothing(
    scene: tuple[Machine, Task, Vma],
) -> None:
    machine, task, vma = scene
    machine.mprotect.do_mprotect(task, vma, HUGE, 2 * HUGE, PROT_READ)
    machine.mprotect.do_mprotect(task, vma, 0, 100, BOTH)
    machine.mprotect.do_mprotect(task, vma, HUGE, HUGE + 1, PROT_READ)
    assert event(machine, "thp_split_pmd") == 0
    assert all(isinstance(here, Folio) for here in vma.slots)


def test_unmapping_goes_vma_by_vma_so_that_a_folio_is_partly_mapped_between(
    scene: tuple[Machine, Task, Vma],
) -> None:
    machine, task, vma = scene
    machine.mprotect.do_mprotect(task, vma, 256, HUGE, 0)
    machine.madvise.dontneed(vma, 0, FULL_MASK)
    assert event(machine, "thp_deferred_split_page") == 1
    assert 0 in vma.empty_tables, "neither range covered the whole page table"
    machine.exit(task)
    assert event(machine, "thp_deferred_split_page") == 1
    assert check(machine) == []


def test_no_huge_page_is_made_across_a_boundary(scene: tuple[Machine, Task, Vma]) -> None:
    machine, task, vma = scene
    machine.mprotect.do_mprotect(task, vma, 256, HUGE, PROT_READ)
    assert (
        machine.khugepaged.collapse(task, vma, 0, CollapseControl(False))
        == "not_suitable_address_range"
    )
    machine.mprotect.do_mprotect(task, vma, 256, HUGE, BOTH)
    assert machine.khugepaged.collapse(task, vma, 0, CollapseControl(False)) == "succeeded"


@pytest.mark.parametrize(("does", "result"), [(True, "succeeded"), (False, "no_writable_page")])
def test_memory_to_be_read_only_is_collapsed_since_6_18(
    scene: tuple[Machine, Task, Vma], does: bool, result: str
) -> None:
    machine, task, vma = scene
    machine.khugepaged.collapses_read_only = does
    machine.mprotect.do_mprotect(task, vma, 256, HUGE, PROT_READ)
    machine.mprotect.do_mprotect(task, vma, 0, 256, PROT_READ)
    assert machine.khugepaged.collapse(task, vma, 0, CollapseControl(False)) == result


def test_an_mlocked_region_that_becomes_writable_is_copied_from_what_a_fork_shares(
    scene: tuple[Machine, Task, Vma],
) -> None:
    machine, task, vma = scene
    machine.mlock.do_mlock(task, vma)
    machine.fork(task, "child")
    machine.mprotect.do_mprotect(task, vma, 0, HUGE + 1, PROT_READ)
    machine.mprotect.do_mprotect(task, vma, 0, HUGE + 1, BOTH)
    assert machine.pages.nodes[0].nr_anon == 3 * HUGE + 1
    assert check(machine) == []


def test_a_huge_page_in_two_vmas_is_not_marked_as_mlocked(scene: tuple[Machine, Task, Vma]) -> None:
    machine, task, vma = scene
    machine.mprotect.do_mprotect(task, vma, 256, HUGE, PROT_READ)
    machine.mlock.do_mlock(task, vma)
    assert not folio_at(vma, 0).flags & PG_MLOCKED
    assert folio_at(vma, 1).flags & PG_MLOCKED


def test_a_copy_of_page_after_page_leaves_a_folio_partly_mapped_after_the_first() -> None:
    """6.12 always copies a page that a fork shared, even when the other task has ended."""
    machine = small_machine()
    machine.huge_memory.thp.shrink_underused = False
    machine.memory.reuse_large_folio = False
    task = start(machine)
    vma = touched(machine, task, 1)
    child_task = machine.fork(task, "child")
    child = child_task.mm.vmas["memory"]
    machine.mprotect.do_mprotect(child_task, child, 256, HUGE, PROT_READ)
    machine.mprotect.do_mprotect(child_task, child, 256, HUGE, BOTH)
    machine.exit(task)
    assert vma.mm.nr_anon == 0
    machine.memory.touch(child_task, child, 0, FULL_MASK, False)
    assert event(machine, "thp_deferred_split_page") == 1
    assert check(machine) == []


def test_a_fork_copies_the_access(scene: tuple[Machine, Task, Vma]) -> None:
    machine, task, vma = scene
    machine.mprotect.do_mprotect(task, vma, 10, 20, 0)
    child = machine.fork(task, "child").mm.vmas["memory"]
    assert [(p.first, p.end, p.access) for p in child.pieces] == [
        (p.first, p.end, p.access) for p in vma.pieces
    ]


def test_a_region_that_nobody_touched_gets_base_pages_beside_a_boundary() -> None:
    machine = small_machine()
    task = start(machine)
    vma = mmap(machine, task, 2)
    machine.mprotect.do_mprotect(task, vma, 256, HUGE, 0)
    machine.memory.touch(task, vma, 0, LOWER, False)
    machine.memory.touch(task, vma, 1, UPPER, False)
    assert event(machine, "thp_fault_alloc") == 1
    assert isinstance(vma.slots[1], Folio)
