# SPDX-License-Identifier: GPL-2.0-only
"""Where a collapsed huge page goes, and what of the old memory forbids or outlives it."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    HUGE,
    LOWER,
    UPPER,
    event,
    folio_at,
    halved,
    mthp,
    touched,
)
from thplab.mm.census import census
from thplab.mm.collapse import CollapseControl
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PROT_READ, PROT_WRITE, Task, Vma


def collapse(machine: Machine, task: Task, vma: Vma, slot: int = 0, daemon: bool = True) -> str:
    """One slot; the result."""
    return machine.khugepaged.collapse(task, vma, slot, CollapseControl(daemon))


def spread(machine: Machine, task: Task, *masks: int, huge: int = 1, name: str = "memory") -> Vma:
    """Base pages, those of the first mask on node 0, those of the second on node 1 ..."""
    vma = machine.mmap(task, name, huge * HUGE, None, "nohugepage")
    for nid, mask in enumerate(masks):
        task.cpu_nid = nid
        for slot in range(huge):
            machine.memory.touch(task, vma, slot, mask, False)
    task.cpu_nid = 0
    return vma


def scatter(machine: Machine, node: int) -> None:
    """What is free on the node lies scattered, so that no huge page can be made of it."""
    free = machine.pages.nodes[node]
    free.give(0, free.free)


# Nodes


@pytest.mark.parametrize("daemon", [True, False])
def test_without_a_huge_page_on_the_node_of_most_pages_nothing_is_collapsed(
    daemon: bool, machine: Machine, task: Task
) -> None:
    vma = spread(machine, task, LOWER, UPPER >> 1 & UPPER)
    scatter(machine, 0)
    assert collapse(machine, task, vma, 0, daemon) == "alloc_huge_page_failed"
    assert census(vma, 2).huge == [0, 0]
    assert event(machine, "thp_collapse_alloc_failed") == 1


def test_of_nodes_with_equal_shares_any_may_give_the_huge_page(
    machine: Machine, task: Task
) -> None:
    vma = spread(machine, task, LOWER, UPPER, huge=2)
    assert collapse(machine, task, vma, 0) == "succeeded"
    scatter(machine, 0)
    assert collapse(machine, task, vma, 1) == "succeeded"
    assert census(vma, 2).huge == [1, 1]


def test_up_to_6_1_nodes_with_equal_shares_take_turns(machine: Machine, task: Task) -> None:
    """Each of them has to have a huge page."""
    machine.khugepaged.alloc_nmask = False
    vma = spread(machine, task, LOWER, UPPER, huge=4)
    cc = CollapseControl(True)
    for slot in range(3):
        assert machine.khugepaged.collapse(task, vma, slot, cc) == "succeeded"
    assert census(vma, 2).huge == [2, 1]
    scatter(machine, 1)
    assert machine.khugepaged.collapse(task, vma, 3, cc) == "alloc_huge_page_failed"


@pytest.mark.parametrize(
    ("defrag", "daemon", "reclaims"),
    [(True, True, True), (False, True, False), (False, False, True)],
)
def test_khugepaged_reclaims_for_a_huge_page_only_with_defrag(
    defrag: bool, daemon: bool, reclaims: bool, machine: Machine, task: Task
) -> None:
    machine.khugepaged.defrag = defrag
    vma = spread(machine, task, FULL_MASK)
    halved(machine, task, 1, 0, "queued")
    scatter(machine, 0)
    collapse(machine, task, vma, 0, daemon)
    assert (event(machine, "thp_split_page") == 1) == reclaims


# Shared memory


@pytest.mark.parametrize(("asks_folio", "limit"), [(True, 256), (False, 255)])
def test_all_entries_of_a_folio_count_as_shared_since_6_10(
    asks_folio: bool, limit: int, machine: Machine, task: Task
) -> None:
    """Here another task maps all but one of the pages that we map."""
    machine.khugepaged.asks_folio = asks_folio
    vma = halved(machine, task, 1)
    child = machine.fork(task, "child")
    machine.memory.zap(child.mm.vmas["memory"], 0, 2)
    machine.khugepaged.max_ptes_shared = limit - 1
    assert collapse(machine, task, vma) == "exceed_shared_pte"
    assert event(machine, "thp_scan_exceed_share_pte") == 1
    machine.khugepaged.max_ptes_shared = limit
    assert collapse(machine, task, vma) == "succeeded"


def test_up_to_5_7_large_folios_and_shared_pages_are_left_alone(
    machine: Machine, task: Task
) -> None:
    machine.khugepaged.collapses_shared = False
    assert collapse(machine, task, halved(machine, task, 1)) == "page_compound"
    vma = spread(machine, task, LOWER, name="base")
    machine.fork(task, "child")
    assert collapse(machine, task, vma) == "not_suitable_page_count"


def test_up_to_6_17_what_a_fork_made_read_only_is_left_alone_until_it_is_written(
    machine: Machine, task: Task
) -> None:
    """The entries stay read-only when the child has gone."""
    machine.khugepaged.collapses_read_only = False
    vma = spread(machine, task, LOWER)
    machine.exit(machine.fork(task, "child"))
    assert collapse(machine, task, vma) == "no_writable_page"
    machine.memory.touch(task, vma, 0, 1, False)
    assert collapse(machine, task, vma) == "succeeded"


# The old folio


@pytest.mark.parametrize("obstacle", ["lock", "reference"])
def test_a_folio_in_use_is_left_alone(obstacle: str, machine: Machine, task: Task) -> None:
    vma = halved(machine, task, 1)
    folio = folio_at(vma, 0)
    if obstacle == "lock":
        folio.trylock()
    else:
        folio.get()
    expected = {"lock": "page_locked", "reference": "not_suitable_page_count"}[obstacle]
    for daemon in (True, False):
        assert collapse(machine, task, vma, 0, daemon) == expected
    assert folio_at(vma, 0) is folio
    if obstacle == "reference":
        machine.lru.folio_put(folio)


@pytest.mark.parametrize(("batches", "counted"), [(True, 0), (False, 1)])
def test_up_to_6_16_a_folio_looks_partly_mapped_while_it_goes(
    batches: bool, counted: int, machine: Machine, task: Task
) -> None:
    """Its entries go page by page; it is off the queue when it is freed."""
    machine.huge_memory.thp.shrink_underused = False
    machine.khugepaged.unmaps_in_batches = batches
    vma = touched(machine, task, 1)
    machine.huge_memory.split_huge_pmd(vma, 0, folio_at(vma, 0))
    assert collapse(machine, task, vma) == "succeeded"
    assert event(machine, "thp_deferred_split_page") == counted
    assert mthp(machine, "nr_anon_partially_mapped") == 0
    assert check(machine) == []


def test_a_folio_that_a_child_maps_goes_on_without_our_entries(
    machine: Machine, task: Task
) -> None:
    machine.huge_memory.thp.shrink_underused = False
    vma = touched(machine, task, 1)
    machine.fork(task, "child")
    old = folio_at(vma, 0)
    machine.huge_memory.split_huge_pmd(vma, 0, old)
    assert collapse(machine, task, vma, 0, False) == "succeeded"
    assert not old.is_freed()
    assert old.entire_mapcount == old.ref_count() == 1
    assert event(machine, "thp_deferred_split_page") == 0
    assert check(machine) == []


def test_an_empty_page_table_is_made_a_huge_page_of_zeros_on_request(
    machine: Machine, task: Task
) -> None:
    vma = spread(machine, task, LOWER)
    machine.memory.zap(vma, 0, FULL_MASK)
    assert collapse(machine, task, vma) == "exceed_none_pte"
    assert collapse(machine, task, vma, 0, False) == "succeeded"
    assert folio_at(vma, 0).zeros == FULL_MASK


# MADV_COLLAPSE


def test_a_failure_ends_madvise_unless_another_range_may_do(machine: Machine, task: Task) -> None:
    vma = spread(machine, task, LOWER, huge=3)
    machine.madvise.hugepage_madvise(task, vma, "hugepage")
    task.memcg.memory.max = task.memcg.memory.usage + HUGE - 256
    assert machine.madvise.collapse(task, vma, 0, 3 * HUGE) == "EBUSY"
    assert census(vma, 2).huge == [0, 0]


@pytest.mark.parametrize(("passes_holes", "huge"), [(True, 2), (False, 1)])
def test_memory_that_was_never_touched_ends_madvise_up_to_6_18(
    passes_holes: bool, huge: int, machine: Machine, task: Task
) -> None:
    machine.madvise.collapse_passes_holes = passes_holes
    vma = machine.mmap(task, "memory", 3 * HUGE, None, "nohugepage")
    for slot in (0, 2):
        machine.memory.touch(task, vma, slot, LOWER, False)
    vma.thp = "default"
    assert machine.madvise.collapse(task, vma, 0, 3 * HUGE) == "EINVAL"
    assert sum(census(vma, 2).huge) == huge


def test_each_vma_of_the_range_is_asked_for_in_turn(machine: Machine, task: Task) -> None:
    """A VMA without room for a huge page is an error, and a gap is one that lets the others be done."""
    vma = spread(machine, task, FULL_MASK, huge=4)
    vma.thp = "default"
    machine.memory.unmap_part(vma, 1, FULL_MASK)
    assert machine.madvise.collapse(task, vma, 0, 3 * HUGE) == "ENOMEM"
    assert sum(census(vma, 2).huge) == 2
    assert machine.madvise.collapse(task, vma, HUGE, 2 * HUGE) == "ENOMEM"
    machine.mprotect.do_mprotect(task, vma, 2 * HUGE, 2 * HUGE + 1, PROT_READ)
    assert machine.madvise.collapse(task, vma, 2 * HUGE, 4 * HUGE) == "EINVAL"
    machine.mprotect.do_mprotect(task, vma, 2 * HUGE, 2 * HUGE + 1, PROT_READ | PROT_WRITE)
    assert machine.madvise.collapse(task, vma, 2 * HUGE, 4 * HUGE) == ""
    vma.thp = "nohugepage"
    assert machine.madvise.collapse(task, vma, 2 * HUGE, 4 * HUGE) == "EINVAL"


def test_a_folio_in_use_is_no_end_but_an_error(machine: Machine, task: Task) -> None:
    vma = halved(machine, task, 2)
    folio_at(vma, 0).trylock()
    assert machine.madvise.collapse(task, vma, 0, 2 * HUGE) == "EAGAIN"
    assert census(vma, 2).absent == 256


def test_without_a_huge_page_madvise_says_enomem(machine: Machine, task: Task) -> None:
    vma = spread(machine, task, FULL_MASK)
    vma.thp = "default"
    scatter(machine, 0)
    assert machine.madvise.collapse(task, vma, 0, HUGE) == "ENOMEM"


# Referenced pages


def test_khugepaged_leaves_memory_that_was_advised_cold_until_it_is_used(
    machine: Machine, task: Task
) -> None:
    """One page that is used is enough. MADV_COLLAPSE does not ask."""
    vma = spread(machine, task, LOWER, huge=3)
    for slot in range(3):
        assert machine.madvise.cold(vma, slot, FULL_MASK)
    assert collapse(machine, task, vma, 0) == "lack_referenced_page"
    assert collapse(machine, task, vma, 0, False) == "succeeded"
    machine.memory.touch(task, vma, 1, 1, False)
    assert collapse(machine, task, vma, 1) == "succeeded"
    machine.migration.move_slot(vma, 2, FULL_MASK, 1)
    assert census(vma, 2).base == [0, 256]
    assert collapse(machine, task, vma, 2) == "lack_referenced_page"


def test_memory_of_which_some_is_not_cold_is_collapsed(machine: Machine, task: Task) -> None:
    vma = spread(machine, task, FULL_MASK)
    machine.madvise.cold(vma, 0, UPPER)
    assert collapse(machine, task, vma) == "succeeded"


@pytest.mark.parametrize("how", ["pmd", "part", "ptes"])
def test_a_huge_page_that_was_advised_cold_keeps_that_in_pieces(
    how: str, machine: Machine, task: Task
) -> None:
    vma = touched(machine, task, 1)
    if how == "ptes":
        machine.huge_memory.split_huge_pmd(vma, 0, folio_at(vma, 0))
    if how == "part":
        machine.memory.zap(vma, 0, UPPER)
    machine.madvise.cold(vma, 0, LOWER if how == "part" else FULL_MASK)
    machine.memory.zap(vma, 0, UPPER)
    assert collapse(machine, task, vma) == "lack_referenced_page"


def test_what_others_map_too_does_not_become_cold(machine: Machine, task: Task) -> None:
    machine.khugepaged.max_ptes_shared = 512
    vma = spread(machine, task, LOWER)
    huge = touched(machine, task, 1, 0, "huge")
    child = machine.fork(task, "child")
    for region in (vma, huge):
        machine.madvise.cold(region, 0, FULL_MASK)
        assert region.old == {}
    machine.exit(child)
    assert collapse(machine, task, vma) == "succeeded"


def test_a_child_has_used_nothing_but_what_was_faulted_in_counts_as_referenced(
    machine: Machine, task: Task
) -> None:
    vma = spread(machine, task, LOWER, huge=2)
    machine.madvise.cold(vma, 1, FULL_MASK)
    machine.memory.touch(task, vma, 1, 1, False)
    child = machine.fork(task, "child")
    machine.exit(task)
    copy = child.mm.vmas["memory"]
    assert collapse(machine, child, copy, 0) == "succeeded"
    assert collapse(machine, child, copy, 1) == "lack_referenced_page"
    machine.memory.touch(child, copy, 1, 2, False)
    assert collapse(machine, child, copy, 1) == "succeeded"


def test_a_huge_page_of_khugepaged_is_young_but_its_folio_is_not_referenced(
    machine: Machine, task: Task
) -> None:
    vma = spread(machine, task, LOWER)
    assert collapse(machine, task, vma) == "succeeded"
    child = machine.fork(task, "child")
    machine.memory.zap(vma, 0, UPPER)
    machine.khugepaged.max_ptes_shared = 512
    assert collapse(machine, task, vma) == "succeeded"
    copy = child.mm.vmas["memory"]
    machine.memory.zap(copy, 0, UPPER)
    assert collapse(machine, child, copy) == "lack_referenced_page"
