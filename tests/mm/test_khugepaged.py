# SPDX-License-Identifier: GPL-2.0-only
"""khugepaged and MADV_COLLAPSE."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    HUGE,
    LOWER,
    UPPER,
    FailingWatcher,
    event,
    folio_at,
    halved,
    mmap,
    mthp,
    small_machine,
    start,
    touched,
)
from thplab.cpu.hook import attach, detach
from thplab.mm.census import census
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.khugepaged import SCAN_RESULTS
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_MLOCKED, Task, Vma


def collapse(machine: Machine, task: Task, vma: Vma, slot: int = 0, daemon: bool = True) -> str:
    """One slot; the verdict."""
    result = machine.khugepaged.collapse(task, vma, slot, daemon)
    assert result in SCAN_RESULTS
    return result


@pytest.mark.parametrize("design", ["split_queue", "list_lru"])
def test_a_half_unmapped_huge_page_becomes_a_new_whole_one(design: str) -> None:
    """nr_anon_partially_mapped falls without a split."""
    machine = small_machine(design)
    machine.huge_memory.thp.shrink_underused = False
    task = start(machine)
    vma = halved(machine, task, 1)
    old = folio_at(vma, 0)
    assert collapse(machine, task, vma) == "succeed"
    new = folio_at(vma, 0)
    assert new is not old
    assert old.is_freed()
    assert census(vma, 2).huge == [1, 0]
    assert task.mm.nr_anon == task.memcg.memory.usage == HUGE
    assert new.zeros == UPPER
    assert mthp(machine, "nr_anon_partially_mapped") == event(machine, "thp_split_page") == 0
    assert event(machine, "thp_collapse_alloc") == 1
    assert mthp(machine, "nr_anon") == 1
    assert check(machine) == []


def test_base_pages_on_two_nodes_are_collapsed_where_most_of_them_are(
    machine: Machine, task: Task
) -> None:
    vma = machine.mmap(task, "memory", HUGE, None, "nohugepage")
    for nid, mask in ((0, 0b11), (1, 0b11100)):
        task.cpu_nid = nid
        machine.memory.touch(task, vma, 0, mask, False)
    assert collapse(machine, task, vma) == "succeed"
    assert census(vma, 2).huge == [0, 1]
    assert folio_at(vma, 0).zeros == FULL_MASK & ~0b11111


def test_a_new_huge_page_of_khugepaged_is_queued_as_underused(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, LOWER, False)
    vma.locked = True
    assert collapse(machine, task, vma) == "succeed"
    folio = folio_at(vma, 0)
    assert folio.next is not None
    assert folio.flags & PG_MLOCKED


@pytest.mark.parametrize(
    ("present", "limit", "verdict"),
    [
        (1, 511, "succeed"),
        (10, 501, "exceeded_none_pte"),
        (10, 502, "succeed"),
        (512, 0, "succeed"),
    ],
)
def test_how_many_entries_may_be_missing(
    present: int, limit: int, verdict: str, machine: Machine, task: Task
) -> None:
    machine.khugepaged.max_ptes_none = limit
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, (1 << present) - 1, False)
    assert collapse(machine, task, vma) == verdict
    assert collapse(machine, task, vma, daemon=False) in {"succeed", "page_already_mapped_by_pmd"}


@pytest.mark.parametrize("kind", ["base", "folio", "pmd"])
def test_what_is_shared_is_left_alone_by_the_daemon_but_not_by_madvise(
    kind: str, machine: Machine, task: Task
) -> None:
    machine.khugepaged.max_ptes_shared = 255
    if kind == "base":
        vma = mmap(machine, task, 1, thp="nohugepage")
        machine.memory.touch(task, vma, 0, LOWER, False)
    else:
        vma = touched(machine, task, 1) if kind == "pmd" else halved(machine, task, 1)
    machine.fork(task, "child")
    if kind == "pmd":
        machine.memory.zap(vma, 0, UPPER)
    assert collapse(machine, task, vma) == "exceeded_shared_pte"
    machine.khugepaged.max_ptes_shared = 256
    assert collapse(machine, task, vma) == "succeed"
    assert census(machine.tasks["child"].mm.vmas["memory"], 2).absent == (
        0 if kind == "pmd" else 256
    )


def test_places_where_no_huge_page_can_be(machine: Machine, task: Task) -> None:
    vma = machine.mmap(task, "memory", 3 * HUGE + 7)
    machine.memory.touch(task, vma, 0, FULL_MASK, False)
    machine.memory.touch(task, vma, 3, 1, False)
    machine.memory.unmap_part(vma, 2, 1)
    results = [collapse(machine, task, vma, slot) for slot in range(4)]
    assert results == [
        "page_already_mapped_by_pmd",
        "no_pte_table",
        "vma_check_failed",
        "vma_check_failed",
    ]


def test_the_zero_page_alone_is_collapsed_only_on_request(machine: Machine, task: Task) -> None:
    machine.khugepaged.max_ptes_none = 100
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 1, True)
    machine.vmscan.try_to_free_pages(0, None)
    machine.khugepaged.max_ptes_none = 511
    assert census(vma, 2).zero == 512
    assert collapse(machine, task, vma) == "exceeded_none_pte"
    assert collapse(machine, task, vma, daemon=False) == "succeed"
    assert folio_at(vma, 0).zeros == FULL_MASK


def test_no_memory_for_the_new_huge_page(machine: Machine, task: Task) -> None:
    vma = halved(machine, task, 1)
    for what in ("folio", "list_lru_memcg"):
        other = start(machine, what, f"/{what}")
        if what == "list_lru_memcg":
            vma = mmap(machine, other, 1, thp="nohugepage")
            machine.memory.touch(other, vma, 0, 1, False)
        attach(FailingWatcher(what))
        # B05: what was not made must not be reported as a success.
        assert collapse(machine, other, vma) == "alloc_huge_page_failed"
        detach()
    assert event(machine, "thp_collapse_alloc_failed") == 1
    assert event(machine, "thp_collapse_alloc") == 1


def test_no_room_in_the_cgroup_for_the_new_huge_page(machine: Machine, task: Task) -> None:
    machine.huge_memory.thp.shrink_underused = False
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, FULL_MASK, False)
    task.memcg.memory.max = HUGE + 100
    assert collapse(machine, task, vma) == "ccgroup_charge_failed"
    assert machine.oom.killed == []
    assert census(vma, 2).base == [512, 0]
    assert check(machine) == []


# The daemon


def test_asleep_it_does_nothing(machine: Machine, task: Task) -> None:
    halved(machine, task, 1)
    machine.khugepaged.elapse(1_000_000)
    assert event(machine, "thp_collapse_alloc") == 0


def test_a_pass_rebuilds_eight_huge_pages_every_ten_seconds(machine: Machine, task: Task) -> None:
    machine.khugepaged.awake = True
    halved(machine, task, 20)
    rebuilt = []
    for milliseconds in (9_999, 1, 10_000, 20_000):
        machine.khugepaged.elapse(milliseconds)
        rebuilt.append(event(machine, "thp_collapse_alloc"))
    assert rebuilt == [0, 8, 16, 20]
    assert mthp(machine, "nr_anon_partially_mapped") == 0


def test_a_round_goes_through_tasks_and_their_regions_that_may_have_huge_pages(
    machine: Machine, task: Task
) -> None:
    first = halved(machine, task, 1, 0, "first")
    second = halved(machine, task, 1, 0, "second")
    second.thp = "nohugepage"
    other = start(machine, "other", "/other")
    machine.mmap(other, "short", 10)
    holed = halved(machine, other, 2)
    machine.memory.unmap_part(holed, 0, 1)
    machine.khugepaged.pages_to_scan = 1
    for _ in range(2):
        machine.khugepaged.scan_pass()
    assert [census(vma, 2).absent for vma in (first, second, holed)] == [0, 256, 257]


def test_what_went_away_during_a_round_is_passed_over(machine: Machine) -> None:
    task, other = start(machine, "one", "/one"), start(machine, "two", "/two")
    halved(machine, task, 3)
    vma = halved(machine, other, 1)
    machine.khugepaged.pages_to_scan = 512
    machine.khugepaged.scan_pass()
    machine.memory.unmap_vma(task.mm.vmas["memory"])
    machine.khugepaged.scan_pass()
    assert census(vma, 2).absent == 0
    machine.exit(task)
    machine.khugepaged.scan_pass()
