# SPDX-License-Identifier: GPL-2.0-only
"""Huge page faults, their fallbacks, and the guards of the deferred split queue."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    HUGE,
    LOWER,
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
from thplab.mm.deferred_split import DeferredSplitQueue
from thplab.mm.geometry import FULL_MASK
from thplab.mm.gfp import (
    GFP_DIRECT_RECLAIM,
    GFP_KSWAPD_RECLAIM,
    GFP_NORETRY,
)
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import (
    PG_HWPOISON,
    PG_LARGE_RMAPPABLE,
    PG_LRU,
    PG_MLOCKED,
    PG_PARTIALLY_MAPPED,
    PG_SWAPCACHE,
    Folio,
    Task,
)
from thplab.mm.shrinker import SHRINK_STOP, ShrinkControl


def queue_length(queue: DeferredSplitQueue, path: str = "/job") -> int:
    """What the design counts for the cgroup on node 0; SHRINK_EMPTY is none."""
    memcg = queue.machine.memcg.by_path[path]
    return max(queue.count_objects(ShrinkControl(0, memcg)), 0)


# Faults


def test_a_fault_maps_a_huge_page_of_zeros(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 2)
    assert machine.memory.touch(task, vma, 1, 1, True)
    folio = folio_at(vma, 1)
    assert folio.zeros == FULL_MASK
    assert (folio.order, folio.nid, folio.index, folio.refcount) == (9, 0, 512, 1)
    assert (folio.entire_mapcount, folio.mapped) == (1, 0)
    assert folio.flags & PG_LRU
    assert folio.flags & PG_LARGE_RMAPPABLE
    assert folio.page_mapped_mask() == FULL_MASK
    assert task.memcg.memory.usage == HUGE
    assert event(machine, "thp_fault_alloc") == mthp(machine, "anon_fault_alloc") == 1
    assert mthp(machine, "nr_anon") == 1
    assert machine.memory.touch(task, vma, 1, 6, False)
    assert folio.zeros == FULL_MASK & ~6
    assert event(machine, "thp_fault_alloc") == 1


def test_the_first_fault_may_write_data(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1, mask=LOWER)
    assert folio_at(vma, 0).zeros == FULL_MASK & ~LOWER


@pytest.mark.parametrize(
    ("enabled", "advice", "huge"),
    [
        ("always", "default", True),
        ("always", "nohugepage", False),
        ("madvise", "default", False),
        ("madvise", "hugepage", True),
        ("never", "hugepage", False),
    ],
)
def test_who_gets_huge_pages(
    enabled: str, advice: str, huge: bool, machine: Machine, task: Task
) -> None:
    machine.huge_memory.thp.enabled = enabled
    vma = mmap(machine, task, 1, thp=advice)
    machine.memory.touch(task, vma, 0, LOWER, False)
    found = census(vma, 2)
    assert (found.huge[0], found.base[0]) == ((1, 0) if huge else (0, 256))
    assert event(machine, "thp_fault_fallback") == 0


def test_the_last_slot_of_a_region_that_ends_in_it_gets_no_huge_page(
    machine: Machine, task: Task
) -> None:
    vma = machine.mmap(task, "memory", HUGE + 100)
    assert vma.slot_mask(1) == (1 << 100) - 1
    machine.memory.touch(task, vma, 1, vma.slot_mask(1), False)
    assert census(vma, 2).base == [100, 0]
    assert check(machine) == []


LIGHT = 0


@pytest.mark.parametrize(
    ("defrag", "advised", "plain"),
    [
        ("always", GFP_DIRECT_RECLAIM, GFP_DIRECT_RECLAIM | GFP_NORETRY),
        ("defer", GFP_KSWAPD_RECLAIM, GFP_KSWAPD_RECLAIM),
        ("defer+madvise", GFP_DIRECT_RECLAIM, GFP_KSWAPD_RECLAIM),
        ("madvise", GFP_DIRECT_RECLAIM, LIGHT),
        ("never", LIGHT, LIGHT),
    ],
)
def test_how_hard_a_fault_tries(
    defrag: str, advised: int, plain: int, machine: Machine, task: Task
) -> None:
    machine.huge_memory.thp.defrag = defrag
    regions = [mmap(machine, task, 1, name=thp, thp=thp) for thp in ("hugepage", "default")]
    assert [machine.huge_memory.thp_gfp_mask(vma) for vma in regions] == [advised, plain]


# Fallback


def test_without_memory_for_a_huge_page_base_pages_are_mapped(machine: Machine, task: Task) -> None:
    node = machine.pages.nodes[0]
    node.fragmented = node.free
    vma = mmap(machine, task, 1)
    assert machine.memory.touch(task, vma, 0, LOWER, False)
    assert census(vma, 2).base == [256, 0]
    assert event(machine, "thp_fault_fallback") == mthp(machine, "anon_fault_fallback") == 1
    assert event(machine, "thp_fault_fallback_charge") == 0
    assert event(machine, "thp_fault_alloc") == mthp(machine, "nr_anon") == 0


def test_without_memory_for_the_list_heads_base_pages_are_mapped(
    machine: Machine, task: Task
) -> None:
    vma = mmap(machine, task, 1)
    watcher = FailingWatcher("list_lru_memcg")
    attach(watcher)
    assert machine.memory.touch(task, vma, 0, 1, False)
    detach()
    assert watcher.asked == ["folio", "list_lru_memcg"]
    assert event(machine, "thp_fault_fallback") == mthp(machine, "anon_fault_fallback") == 1
    assert event(machine, "thp_fault_fallback_charge") == 0
    assert task.memcg.memory.usage == 1
    assert check(machine) == []


# The guards of the queue


def test_a_new_huge_page_is_queued_while_underused_ones_are_split() -> None:
    for wanted in (True, False):
        machine = small_machine()
        machine.huge_memory.thp.shrink_underused = wanted
        task = start(machine)
        vma = touched(machine, task, 1)
        assert queue_length(machine.deferred_split) == int(wanted)
        assert not folio_at(vma, 0).flags & PG_PARTIALLY_MAPPED
        assert event(machine, "thp_deferred_split_page") == 0
        assert check(machine) == []


@pytest.mark.parametrize("design", ["split_queue", "list_lru"])
def test_a_partially_mapped_folio_is_queued_once_and_flagged(design: str) -> None:
    machine = small_machine(design)
    machine.huge_memory.thp.shrink_underused = False
    task = start(machine)
    vma = halved(machine, task, 1)
    folio = folio_at(vma, 0)
    assert folio.flags & PG_PARTIALLY_MAPPED
    machine.huge_memory.deferred_split_folio(folio, True)
    assert queue_length(machine.deferred_split) == 1
    assert event(machine, "thp_deferred_split_page") == mthp(machine, "split_deferred") == 1
    assert check(machine) == []


def test_order_1_has_no_room_for_the_links(machine: Machine, task: Task) -> None:
    """B45."""
    touched(machine, task, 1)
    small = Folio(1, 0)
    machine.huge_memory.deferred_split_folio(small, True)
    assert small.next is None
    assert not small.flags & PG_PARTIALLY_MAPPED
    assert not machine.huge_memory.folio_unqueue_deferred_split(small)


def test_what_reclaim_has_in_hand_is_not_queued(machine: Machine, task: Task) -> None:
    """f8f931bba0f9: it is not flagged either."""
    machine.huge_memory.thp.shrink_underused = False
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    folio.set_flag(PG_SWAPCACHE)
    machine.huge_memory.deferred_split_folio(folio, True)
    assert folio.next is None
    assert not folio.flags & PG_PARTIALLY_MAPPED


def test_a_smaller_folio_is_queued_but_is_no_event(machine: Machine, task: Task) -> None:
    """thp_deferred_split_page counts PMD-sized ones only; each size has its own statistics."""
    touched(machine, task, 1)
    folio = Folio(4, 0)
    assert machine.pages.alloc_huge(4, 0, None, 0) == 0
    assert machine.charges.charge_folio(folio, task.memcg, GFP_DIRECT_RECLAIM, None)
    machine.huge_memory.deferred_split_folio(folio, True)
    assert queue_length(machine.deferred_split) == 2
    assert event(machine, "thp_deferred_split_page") == 0
    assert machine.vmstat.mthp[4]["split_deferred"] == 1
    assert machine.vmstat.mthp[4]["nr_anon_partially_mapped"] == 1
    machine.lru.folio_put(folio)
    assert queue_length(machine.deferred_split) == 1
    assert machine.vmstat.mthp[4]["nr_anon_partially_mapped"] == 0


def test_a_flagged_folio_queued_as_whole_is_complained_about(
    warnings_of: dict[str, int], machine: Machine, task: Task
) -> None:
    vma = halved(machine, task, 1)
    machine.huge_memory.deferred_split_folio(folio_at(vma, 0), False)
    assert list(warnings_of) == [
        "WARNING: deferred_split_folio(): partially mapped folio queued as entirely mapped"
    ]


@pytest.mark.parametrize("design", ["split_queue", "split_queue_reparented", "list_lru"])
def test_unqueueing_with_references_or_without_a_charge_is_complained_about(
    design: str, warnings_of: dict[str, int]
) -> None:
    """B24, B27: the queue is found through the cgroup, and a reference may mean a scanner's list."""
    machine = small_machine(design)
    task = start(machine)
    folio = folio_at(halved(machine, task, 1), 0)
    assert machine.huge_memory.folio_unqueue_deferred_split(folio)
    assert not folio.flags & PG_PARTIALLY_MAPPED
    assert not machine.huge_memory.folio_unqueue_deferred_split(folio)
    assert list(warnings_of) == [
        "WARNING: folio_unqueue_deferred_split(): the reference count is not 0"
    ]
    warnings_of.clear()
    stray = Folio(9, 0)
    assert stray.ref_freeze(1)
    machine.deferred_split.check_unqueue(stray)
    assert list(warnings_of) == [
        "WARNING: folio_unqueue_deferred_split(): the folio is not charged any more"
    ]


def test_what_is_not_large_and_rmappable_was_never_queued(machine: Machine) -> None:
    assert not machine.huge_memory.folio_unqueue_deferred_split(Folio(9, 0, 0))
    assert not machine.deferred_split.unqueue(frozen_folio())


def frozen_folio() -> Folio:
    """One that only the final put knows."""
    folio = Folio(9, 0)
    assert folio.ref_freeze(1)
    folio.objcg = small_machine().memcg.root.nodeinfo[0].objcg
    return folio


# Underused


@pytest.mark.parametrize(
    ("max_ptes_none", "nr_zero", "flags", "underused"),
    [
        (511, 512, 0, False),  # the default: nothing is underused
        (255, 256, 0, True),
        (256, 256, 0, False),
        (0, 1, 0, True),
        (0, 512, PG_HWPOISON, False),
    ],
)
def test_who_is_underused(
    max_ptes_none: int, nr_zero: int, flags: int, underused: bool, machine: Machine
) -> None:
    machine.khugepaged.max_ptes_none = max_ptes_none
    folio = Folio(9, 0)
    folio.zeros = (1 << nr_zero) - 1
    folio.flags |= flags
    assert machine.huge_memory.thp_underused(folio) is underused


@pytest.mark.parametrize(
    ("case", "split"),
    [
        ("underused", True),
        ("used", False),
        ("mlocked", False),
        ("shared", False),
    ],
)
@pytest.mark.parametrize("design", ["split_queue", "split_queue_reparented", "list_lru"])
def test_a_whole_huge_page_leaves_the_queue_split_or_not(
    design: str, case: str, split: bool
) -> None:
    machine = small_machine(design)
    machine.khugepaged.max_ptes_none = 100
    task = start(machine)
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, FULL_MASK if case == "used" else LOWER, False)
    folio = folio_at(vma, 0)
    pins = []
    if case == "mlocked":
        folio.set_flag(PG_MLOCKED)
    if case == "shared":
        folio.get()
        pins.append(folio)
    queue = machine.deferred_split
    assert queue_length(queue) == 1
    stops = not split and design != "list_lru"  # nothing was split, and nothing is left
    assert queue.scan_objects(ShrinkControl(0, task.memcg, 1)) == (SHRINK_STOP if stops else split)
    assert queue_length(queue) == 0
    assert event(machine, "thp_underused_split_page") == int(split)
    assert event(machine, "thp_split_page_failed") == int(case == "shared")
    assert census(vma, 2).zero == (256 if split else 0)
    assert check(machine, pins) == []
