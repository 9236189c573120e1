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
    halve,
    halved,
    mmap,
    mthp,
    small_machine,
    start,
    touched,
)
from thplab.cpu.hook import attach, detach
from thplab.mm.census import census
from thplab.mm.collapse import SCAN_RESULTS, CollapseControl
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_MLOCKED, Task, Vma


def collapse(machine: Machine, task: Task, vma: Vma, slot: int = 0, daemon: bool = True) -> str:
    """One slot; the verdict."""
    result = machine.khugepaged.collapse(task, vma, slot, CollapseControl(daemon))
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
    assert collapse(machine, task, vma) == "succeeded"
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
    assert collapse(machine, task, vma) == "succeeded"
    assert census(vma, 2).huge == [0, 1]
    assert folio_at(vma, 0).zeros == FULL_MASK & ~0b11111


def test_a_new_huge_page_of_khugepaged_is_queued_as_underused(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, LOWER, False)
    vma.locked = True
    assert collapse(machine, task, vma) == "succeeded"
    folio = folio_at(vma, 0)
    assert folio.next is not None
    assert folio.flags & PG_MLOCKED


@pytest.mark.parametrize(
    ("present", "limit", "verdict"),
    [
        (1, 511, "succeeded"),
        (10, 501, "exceed_none_pte"),
        (10, 502, "succeeded"),
        (512, 0, "succeeded"),
    ],
)
def test_how_many_entries_may_be_missing(
    present: int, limit: int, verdict: str, machine: Machine, task: Task
) -> None:
    machine.khugepaged.max_ptes_none = limit
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, (1 << present) - 1, False)
    assert collapse(machine, task, vma) == verdict
    assert collapse(machine, task, vma, daemon=False) in {"succeeded", "page_pmd_mapped"}


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
    assert collapse(machine, task, vma) == "exceed_shared_pte"
    machine.khugepaged.max_ptes_shared = 256
    assert collapse(machine, task, vma) == "succeeded"
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
        "page_pmd_mapped",
        "no_pte_table",
        "not_suitable_address_range",
        "not_suitable_address_range",
    ]


def test_the_zero_page_alone_is_collapsed_only_on_request(machine: Machine, task: Task) -> None:
    machine.khugepaged.max_ptes_none = 100
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 1, True)
    machine.vmscan.try_to_free_pages(0, None)
    machine.khugepaged.max_ptes_none = 511
    assert census(vma, 2).zero == 512
    assert collapse(machine, task, vma) == "exceed_none_pte"
    assert collapse(machine, task, vma, daemon=False) == "succeeded"
    assert folio_at(vma, 0).zeros == FULL_MASK


@pytest.mark.parametrize(("design", "errno"), [("list_lru", "ENOMEM"), ("list_lru_v1", "EBUSY")])
def test_what_a_collapse_without_memory_for_list_heads_says(design: str, errno: str) -> None:
    """The conversion as first posted takes it for a charge that failed (alloc_charge_folio())."""
    machine = small_machine(design)
    task = start(machine)
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, 1, False)
    vma.thp = "default"
    attach(FailingWatcher("list_lru_memcg"))
    assert machine.madvise.collapse(task, vma, 0, HUGE) == errno
    detach()
    assert check(machine) == []


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
    vma = touched(machine, task, 20)
    machine.khugepaged.settle()
    halve(machine, vma)
    rebuilt = []
    for milliseconds in (9_999, 1, 10_000, 20_000):
        machine.khugepaged.elapse(milliseconds)
        rebuilt.append(event(machine, "thp_collapse_alloc"))
    assert rebuilt == [0, 8, 16, 20]
    assert mthp(machine, "nr_anon_partially_mapped") == 0
    assert machine.khugepaged.pages_collapsed == 20


def base_pages(machine: Machine, task: Task, huge: int, name: str = "memory") -> Vma:
    """Base pages that may become huge pages later."""
    vma = mmap(machine, task, huge, 0, name, "nohugepage")
    for slot in range(huge):
        machine.memory.touch(task, vma, slot, FULL_MASK, False)
    vma.thp = "default"
    return vma


def whole(vma: Vma) -> int:
    """Huge pages of the region."""
    return sum(census(vma, 2).huge)


def test_an_address_space_registers_at_a_huge_fault_or_by_advice(
    machine: Machine, task: Task
) -> None:
    """Memory that was there before is scanned too, once the address space is registered."""
    machine.khugepaged.awake = True
    old = base_pages(machine, task, 1, "old")
    machine.khugepaged.elapse(100_000)
    assert whole(old) == 0
    touched(machine, task, 1, 0, "new")
    machine.khugepaged.elapse(100_000)
    assert whole(old) == 1

    advised = start(machine, "advised")
    vma = base_pages(machine, advised, 1)
    machine.khugepaged.elapse(100_000)
    assert whole(vma) == 0
    machine.madvise.hugepage_madvise(advised, vma, "hugepage")
    machine.khugepaged.elapse(100_000)
    assert whole(vma) == 1


def test_advice_does_not_register_what_was_never_touched_or_is_too_small(
    machine: Machine, task: Task
) -> None:
    for name, pages in (("untouched", HUGE), ("small", HUGE - 1)):
        vma = machine.mmap(task, name, pages)
        if name == "small":
            machine.memory.touch(task, vma, 0, 1, False)
        machine.madvise.hugepage_madvise(task, vma, "hugepage")
        assert not task.mm.vm_hugepage
    machine.huge_memory.thp.enabled = "never"
    vma = base_pages(machine, task, 1)
    machine.madvise.hugepage_madvise(task, vma, "hugepage")
    assert not task.mm.vm_hugepage


def test_a_child_of_a_registered_task_is_registered(machine: Machine, task: Task) -> None:
    base_pages(machine, task, 1)
    assert machine.fork(task, "unknown").mm.vm_hugepage is False
    touched(machine, task, 1, 0, "huge")
    child = machine.fork(task, "child")
    assert machine.khugepaged.mm_head == [task, child]


def test_the_order_is_that_of_registration_then_of_addresses(machine: Machine, task: Task) -> None:
    """mmap(2) goes from the top down, so what was mapped last comes first."""
    machine.khugepaged.awake = True
    machine.khugepaged.pages_to_scan = HUGE
    other = start(machine, "other")
    vmas = [
        base_pages(machine, owner, 1, name)
        for owner, name in ((task, "high"), (task, "low"), (other, "high"))
    ]
    for owner, vma in ((other, vmas[2]), (task, vmas[0])):
        machine.madvise.hugepage_madvise(owner, vma, "hugepage")
    found = []
    for milliseconds in (0, 10_000, 10_000):
        machine.khugepaged.elapse(milliseconds)
        found.append([whole(vma) for vma in vmas])
    assert found == [[0, 0, 1], [0, 1, 1], [1, 1, 1]]


def test_a_pass_does_not_go_round_twice(machine: Machine, task: Task) -> None:
    """It begins a second round only if it began in the middle of one."""
    machine.khugepaged.awake = True
    touched(machine, task, 2)
    machine.khugepaged.settle()
    assert machine.khugepaged.full_scans == 1
    machine.khugepaged.elapse(20_000)
    assert machine.khugepaged.full_scans == 3


@pytest.mark.parametrize(("counts_entries", "rounds"), [(True, 1), (False, 0)])
def test_huge_pages_are_passed_over_quickly_since_7_1(
    counts_entries: bool, rounds: int, machine: Machine, task: Task
) -> None:
    machine.khugepaged.counts_entries = counts_entries
    machine.khugepaged.awake = True
    touched(machine, task, 20)
    machine.khugepaged.settle()
    assert machine.khugepaged.full_scans == rounds
    assert machine.khugepaged.mm_slot is (None if rounds else task)


def test_the_walk_of_a_range_ends_at_what_forbids_it(machine: Machine, task: Task) -> None:
    """Only so many entries count."""
    machine.khugepaged.max_ptes_none = 100
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, LOWER, False)
    cc = CollapseControl(True)
    assert machine.khugepaged.collapse(task, vma, 0, cc) == "exceed_none_pte"
    assert cc.progress == 256 + 101
    assert event(machine, "thp_scan_exceed_none_pte") == 1


def test_what_may_have_no_huge_pages_is_passed_over(machine: Machine, task: Task) -> None:
    machine.khugepaged.awake = True
    first = halved(machine, task, 1, 0, "first")
    second = halved(machine, task, 1, 0, "second")
    second.thp = "nohugepage"
    other = start(machine, "other", "/other")
    machine.mmap(other, "short", 10)
    holed = halved(machine, other, 2)
    machine.memory.unmap_part(holed, 0, 1)
    machine.khugepaged.elapse(0)
    assert [census(vma, 2).absent for vma in (first, second, holed)] == [0, 256, 257]


def test_what_went_away_during_a_round_is_passed_over(machine: Machine) -> None:
    """A task that ends while the cursor is in it stays on the list until khugepaged gets there."""
    khugepaged = machine.khugepaged
    khugepaged.awake = True
    khugepaged.pages_to_scan = HUGE
    task, other, third = (start(machine, name, f"/{name}") for name in ("one", "two", "three"))
    halved(machine, task, 3)
    vma = halved(machine, other, 1)
    halved(machine, third, 1)
    khugepaged.elapse(0)
    assert khugepaged.mm_slot is task
    machine.memory.unmap_vma(task.mm.vmas["memory"])
    machine.exit(task)
    machine.exit(third)
    assert khugepaged.mm_head == [task, other]
    khugepaged.elapse(10_000)
    assert census(vma, 2).absent == 0
    assert khugepaged.mm_head == [other]


def test_without_a_huge_page_it_waits_once_and_then_gives_the_pass_up(
    machine: Machine, task: Task
) -> None:
    khugepaged = machine.khugepaged
    khugepaged.awake = True
    khugepaged.defrag = False
    vma = base_pages(machine, task, 3)
    machine.madvise.hugepage_madvise(task, vma, "hugepage")
    node = machine.pages.nodes[0]
    node.give(0, node.free)
    failed = []
    for milliseconds in (0, 59_999, 1, 9_999, 1):
        khugepaged.elapse(milliseconds)
        failed.append(event(machine, "thp_collapse_alloc_failed"))
    assert failed == [1, 1, 2, 2, 3]


def test_switching_huge_pages_off_and_on_makes_a_pass(machine: Machine, task: Task) -> None:
    khugepaged = machine.khugepaged
    khugepaged.awake = True
    vma = touched(machine, task, 1)
    khugepaged.settle()
    halve(machine, vma)
    machine.huge_memory.thp.enabled = "never"
    khugepaged.elapse(100_000)
    assert census(vma, 2).absent == 256
    machine.huge_memory.thp.enabled = "always"
    khugepaged.settle()
    assert census(vma, 2).absent == 0


def test_a_write_to_its_sleep_wakes_it(machine: Machine, task: Task) -> None:
    machine.khugepaged.awake = True
    vma = touched(machine, task, 1)
    machine.khugepaged.settle()
    halve(machine, vma)
    machine.khugepaged.settle()
    assert census(vma, 2).absent == 256
    machine.khugepaged.scan_sleep_millisecs = 5000
    machine.khugepaged.settle()
    assert census(vma, 2).absent == 0
