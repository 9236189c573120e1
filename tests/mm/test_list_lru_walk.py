# SPDX-License-Identifier: GPL-2.0-only
"""list_lru: walks, the six statuses, the budget."""

from __future__ import annotations

import pytest

from tests.mm.small import cgroup, entries, small_machine
from tests.mm.walking import ByVerdict, filled, removed, skipped
from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import H
from thplab.cpu.list_head import ListHead
from thplab.cpu.spinlock import IRQ, PLAIN
from thplab.mm.list_lru import (
    LRU_REMOVED,
    LRU_REMOVED_RETRY,
    LRU_RETRY,
    LRU_ROTATE,
    LRU_STOP,
    Isolate,
    ListLru,
    ListLruOne,
    list_lru_isolate,
    list_lru_isolate_move,
)
from thplab.mm.shrinker import ShrinkControl


def test_a_walk_goes_oldest_first_and_no_further_than_its_budget() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 5)
    callback = ByVerdict(removed)
    assert lru.walk_one(0, None, callback, 3) == (3, 0)
    assert callback.visited == items[:3]
    assert entries(lru.node[0].lru) == items[3:]
    assert lru.count_node(0) == lru.count_one(0, None) == 2
    assert lru.walk_one(0, None, callback, 9) == (2, 7)
    assert lru.walk_one(0, None, callback, 0) == (0, 0)


def test_rotated_entries_go_to_the_tail_and_are_not_isolated() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 3)
    callback = ByVerdict(lambda item, one: LRU_ROTATE)
    assert lru.walk_one(0, None, callback, 2) == (0, 0)
    assert entries(lru.node[0].lru) == [items[2], items[0], items[1]]
    assert lru.count_node(0) == 3


def test_a_rotated_entry_is_seen_again_while_the_budget_lasts() -> None:
    """The last entry of the list is followed by what was rotated behind it."""
    machine = small_machine(None)
    lru, items = filled(machine, 2)
    callback = ByVerdict(lambda item, one: LRU_ROTATE)
    lru.walk_one(0, None, callback, 3)
    assert callback.visited == [items[0], items[1], items[0]]


def test_skipped_entries_stay_and_cost_budget() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 3)
    assert lru.walk_one(0, None, ByVerdict(skipped), 2) == (0, 0)
    assert entries(lru.node[0].lru) == items


def test_stop_ends_the_walk_with_the_lock_dropped() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 3)
    callback = ByVerdict(lambda item, one: LRU_STOP)
    assert lru.walk_one(0, None, callback, 9) == (0, 8)
    assert callback.visited == items[:1]
    assert lru.node[0].lru.lock.owner is None


def test_retry_begins_again_at_the_head_and_ends_with_the_budget() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 2)
    callback = ByVerdict(lambda item, one: LRU_RETRY)
    assert lru.walk_one(0, None, callback, 5) == (0, 0)
    assert callback.visited == [items[0]] * 5


@pytest.mark.parametrize("mode", [PLAIN, IRQ])
def test_removed_retry_counts_and_begins_again(mode: int) -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 3)

    def verdict(item: ListHead, one: ListLruOne) -> int:
        list_lru_isolate(one, item)
        return LRU_REMOVED_RETRY

    callback = ByVerdict(verdict, mode)
    walk = lru.walk_one if mode == PLAIN else lru.walk_one_irq
    assert walk(0, None, callback, 2) == (2, 0)
    assert callback.visited == items[:2]
    assert lru.count_node(0) == 1
    assert H.cpu.irqs_on


def test_a_restart_that_finds_the_list_gone_reports_what_it_had() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, items = filled(machine, 2, job)

    def verdict(item: ListHead, one: ListLruOne) -> int:
        list_lru_isolate(one, item)
        one.lock.release(PLAIN)
        machine.memcg.rmdir(job)
        one.lock.acquire(PLAIN)
        return LRU_REMOVED_RETRY

    assert job.css_tryget()
    assert lru.walk_one(0, job, ByVerdict(verdict), 9) == (1, 8)
    job.css_put()
    assert lru.count_one(0, None) == 1
    assert lru.count_node(0) == 1
    assert entries(lru.node[0].lru) == items[1:]


def test_isolate_move_leaves_the_entries_on_the_callers_list_the_last_one_first() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 3)
    private = ListHead()

    def verdict(item: ListHead, one: ListLruOne) -> int:
        list_lru_isolate_move(one, item, private)
        return LRU_REMOVED

    sc = ShrinkControl(0, None, 2)
    assert lru.shrink_walk(sc, ByVerdict(verdict)) == 2
    assert sc.nr_to_scan == 0
    sc.nr_to_scan = 5
    assert lru.shrink_walk_irq(sc, ByVerdict(verdict, IRQ)) == 1
    assert sc.nr_to_scan == 4
    assert entries(private) == items[::-1]


def test_a_status_that_there_is_not_is_a_bug() -> None:
    machine = small_machine(None)
    lru, _ = filled(machine, 1)
    with pytest.raises(KernelBug, match="6 is no lru_status"):
        lru.walk_one(0, None, ByVerdict(lambda item, one: 6), 1)
    lru.node[0].lru.lock.release(PLAIN)


def test_a_callback_must_be_written() -> None:
    machine = small_machine(None)
    lru, _ = filled(machine, 1)
    with pytest.raises(NotImplementedError):
        lru.walk_one(0, None, Isolate(), 1)
    lru.node[0].lru.lock.release(PLAIN)


def test_a_walk_of_a_node_shares_one_budget_among_root_and_cgroups() -> None:
    machine = small_machine(None)
    lru = ListLru(machine, memcg_aware=True)
    jobs = [cgroup(machine, f"/job{index}") for index in range(3)]
    expected = []
    for memcg in (None, *jobs):
        if memcg is not None:
            lru.memcg_list_lru_alloc(memcg)
        items = [ListHead() for _ in range(2)]
        expected += items
        for item in items:
            lru.add(item, 0, memcg)
    callback = ByVerdict(removed)
    assert lru.walk_node(0, callback, 5) == (5, 0)
    assert callback.visited == expected[:5]
    assert [lru.count_one(0, memcg) for memcg in (None, *jobs)] == [0, 0, 1, 2]
    assert lru.count_node(0) == 3
    assert lru.walk_node(0, callback, 10) == (3, 7)
    assert callback.visited == expected


def test_a_walk_of_a_node_without_cgroups_is_a_walk_of_its_list() -> None:
    machine = small_machine(None)
    lru, _ = filled(machine, 2)
    assert lru.walk_node(0, ByVerdict(removed), 9) == (2, 7)


def test_a_walk_of_a_node_passes_over_cgroups_that_nobody_can_hold() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, _ = filled(machine, 1, job)
    assert job.ref_freeze(job.refcount)
    assert lru.walk_node(0, ByVerdict(removed), 9) == (0, 9)
    job.ref_unfreeze(2)
    machine.memcg.by_id[job.kmemcg_id] = None
    assert lru.walk_node(0, ByVerdict(removed), 9) == (0, 9)
    machine.memcg.by_id[job.kmemcg_id] = job
    assert lru.walk_node(0, ByVerdict(removed), 9) == (1, 8)
