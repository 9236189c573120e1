# SPDX-License-Identifier: GPL-2.0-only
"""MADV_COLD, and the split of all that a range has: which huge pages they split."""

from __future__ import annotations

import pytest

from tests.mm.small import HUGE, LOWER, UPPER, event, folio_at, small_machine, start, touched
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import BasePages, Folio, PteMap, Task, Vma


@pytest.fixture
def scene() -> tuple[Machine, Task, Vma]:
    """Two huge pages, none queued."""
    machine = small_machine()
    machine.huge_memory.thp.shrink_underused = False
    task = start(machine)
    return machine, task, touched(machine, task, 2)


def without_pmd(machine: Machine, vma: Vma, slot: int = 0) -> None:
    """Page table entries map the huge page, all of it."""
    lock = vma.mm.page_table_lock
    lock.lock()
    machine.huge_memory.split_huge_pmd(vma, slot, folio_at(vma, slot))
    lock.unlock()


def is_split(vma: Vma, slot: int = 0) -> bool:
    """Whether base pages are all that the slot has."""
    here = vma.slots[slot]
    return isinstance(here, PteMap) and isinstance(here.owner, BasePages) and here.next is None


def test_cold_splits_a_huge_page_of_which_it_has_a_part(scene: tuple[Machine, Task, Vma]) -> None:
    machine, _task, vma = scene
    assert machine.madvise.cold(vma, 0, UPPER)
    assert machine.madvise.cold(vma, 1, FULL_MASK)
    assert is_split(vma, 0)
    assert isinstance(vma.slots[1], Folio)
    assert event(machine, "thp_split_page") == 1
    assert check(machine) == []


def test_cold_refuses_an_mlocked_region(scene: tuple[Machine, Task, Vma]) -> None:
    machine, task, vma = scene
    machine.mlock.do_mlock(task, vma)
    assert not machine.madvise.cold(vma, 0, UPPER)
    assert event(machine, "thp_split_page") == 0


@pytest.mark.parametrize("keeps", [True, False])
def test_cold_keeps_a_whole_huge_page_without_a_pmd_since_6_10(
    scene: tuple[Machine, Task, Vma], keeps: bool
) -> None:
    machine, _task, vma = scene
    machine.madvise.cold_keeps_whole = keeps
    without_pmd(machine, vma)
    machine.madvise.cold(vma, 0, FULL_MASK)
    assert is_split(vma) == (not keeps)


def test_cold_splits_what_is_not_mapped_whole_or_lies_in_two_vmas(
    scene: tuple[Machine, Task, Vma],
) -> None:
    machine, task, vma = scene
    machine.madvise.dontneed(vma, 0, LOWER)
    machine.mprotect.do_mprotect(task, vma, HUGE + 256, 2 * HUGE, 0)
    for slot in range(2):
        machine.madvise.cold(vma, slot, FULL_MASK)
        assert is_split(vma, slot)


def test_cold_looks_only_at_the_pages_that_are_meant(scene: tuple[Machine, Task, Vma]) -> None:
    machine, _task, vma = scene
    machine.madvise.dontneed(vma, 0, LOWER)
    machine.madvise.cold(vma, 0, LOWER)
    assert not is_split(vma)


@pytest.mark.parametrize("mm_id", [True, False])
def test_cold_leaves_alone_what_another_task_maps(
    scene: tuple[Machine, Task, Vma], mm_id: bool
) -> None:
    machine, task, vma = scene
    machine.memory.reuse_large_folio = mm_id
    child = machine.fork(task, "child")
    without_pmd(machine, vma, 1)
    for slot in range(2):
        machine.madvise.cold(vma, slot, UPPER)
        assert folio_at(vma, slot).order == 9
    machine.exit(child)
    for slot in range(2):
        machine.madvise.cold(vma, slot, UPPER)
        assert is_split(vma, slot)
    assert check(machine) == []


@pytest.mark.parametrize(
    ("mm_id", "other", "split"),
    [(True, 1, False), (False, 1, False), (True, 2, False), (False, 2, True)],
)
def test_before_6_15_cold_goes_by_the_first_page(mm_id: bool, other: int, split: bool) -> None:
    """Two tasks map some pages each: the child has kept only the first or only the second page."""
    machine = small_machine()
    machine.memory.reuse_large_folio = mm_id
    task = start(machine)
    vma = touched(machine, task, 1)
    child = machine.fork(task, "child").mm.vmas["memory"]
    machine.madvise.dontneed(child, 0, FULL_MASK & ~other)
    machine.madvise.dontneed(vma, 0, UPPER)
    machine.madvise.cold(vma, 0, LOWER)
    assert is_split(vma) == split


def test_all_that_a_range_has_a_page_of_is_split_for_all_that_map_it(
    scene: tuple[Machine, Task, Vma],
) -> None:
    machine, task, vma = scene
    child = machine.fork(task, "child").mm.vmas["memory"]
    machine.huge_memory.split_huge_pages_pid(vma, 0, 1 << 77)
    assert is_split(vma)
    assert is_split(child)
    assert isinstance(vma.slots[1], Folio)
    assert check(machine) == []


def test_what_somebody_else_holds_is_not_even_tried(scene: tuple[Machine, Task, Vma]) -> None:
    machine, _task, vma = scene
    folio = folio_at(vma, 0)
    folio.get()
    machine.huge_memory.split_huge_pages_pid(vma, 0, FULL_MASK)
    assert event(machine, "thp_split_page_failed") == 0
    machine.madvise.cold(vma, 0, UPPER)
    assert event(machine, "thp_split_page_failed") == 1
    machine.lru.folio_put(folio)
    assert folio.trylock()
    machine.madvise.cold(vma, 0, UPPER)
    folio.unlock()
    assert event(machine, "thp_split_page_failed") == 1
    machine.huge_memory.split_huge_pages_pid(vma, 0, FULL_MASK)
    assert is_split(vma)
    machine.huge_memory.split_huge_pages_pid(vma, 0, FULL_MASK)
    assert event(machine, "thp_split_page") == 1
