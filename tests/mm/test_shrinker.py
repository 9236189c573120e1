# SPDX-License-Identifier: GPL-2.0-only
"""The shrinker core: how much is asked for, and of whom."""

from __future__ import annotations

import pytest

from tests.mm.cache import AWARE, Cache, ask, deferred, registered, sizes
from tests.mm.small import cgroup, small_machine
from thplab.mm.shrinker import (
    SHRINK_EMPTY,
    SHRINK_STOP,
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NONSLAB,
    ShrinkControl,
)

# What is due: do_shrink_slab()


def test_the_deferred_count_is_the_one_traced_on_a_real_kernel() -> None:
    """72 queued; the trace has no call at priority 3. At priority 1, 97 are due: all at once."""
    machine = small_machine(None)
    cache = registered(machine, Cache(72))
    seen = []
    for priority in (12, 7, 6, 5, 4, 2):
        assert ask(machine, cache, priority) == 0
        seen.append(deferred(cache))
    assert seen == [0, 0, 2, 6, 14, 50]
    assert cache.scans == []
    assert ask(machine, cache, 1) == 97
    assert sizes(cache) == [97]


@pytest.mark.parametrize(
    ("objects", "priority", "calls", "left"),
    [
        (1, 1, [], 0),  # a lone object is never due before priority 0
        (1, 0, [2], 0),
        (2, 1, [2], 0),
        (3, 1, [], 2),
        (3, 0, [6], 0),
        (127, 1, [], 126),
        (128, 1, [128], 0),
        (4095, 12, [], 0),
        (4096, 12, [], 2),
        (1000, 0, [128] * 15, 80),
        (1000, 3, [128], 122),
    ],
)
def test_what_is_due_is_scanned_in_batches_and_the_rest_deferred(
    objects: int, priority: int, calls: list[int], left: int
) -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(objects))
    freed = ask(machine, cache, priority)
    assert sizes(cache) == calls
    assert freed == sum(calls)
    assert deferred(cache) == left
    assert machine.vmstat.events["slabs_scanned"] == sum(calls)


def test_a_small_rest_is_scanned_at_once() -> None:
    """Of 100 objects 200 are due at priority 0: 128, and 72, which is less than all and less than a batch."""
    machine = small_machine(None)
    cache = registered(machine, Cache(100))
    ask(machine, cache, 0)
    assert sizes(cache) == [128]
    assert deferred(cache) == 72


def test_no_more_than_twice_the_objects_is_scanned_or_deferred() -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(10, batch=1000))
    cache.nr_deferred[0].value = 10_000
    ask(machine, cache, 0)
    assert sizes(cache) == [20]
    assert deferred(cache) == 20


@pytest.mark.parametrize(
    ("seeks", "calls"), [(0, [128] * 3), (1, [128] * 7), (2, [128] * 3), (8, [])]
)
def test_what_is_cheap_to_make_again_is_asked_for_more(seeks: int, calls: list[int]) -> None:
    """Of 1000 objects at priority 2: 500 without seeks, else 1000 / 4 * 4 / seeks."""
    machine = small_machine(None)
    cache = registered(machine, Cache(1000, seeks=seeks))
    ask(machine, cache, 2)
    due = 500 if seeks == 0 else 250 * 4 // seeks
    assert sizes(cache) == calls
    assert deferred(cache) == due - sum(calls)


def test_a_shrinker_may_have_a_batch_of_its_own() -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(100, batch=32))
    ask(machine, cache, 1)
    assert sizes(cache) == [32, 32, 32]
    assert deferred(cache) == 4


def test_stop_ends_the_call_and_what_was_due_is_deferred() -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(1000))
    cache.results = [128, SHRINK_STOP]
    assert ask(machine, cache, 0) == 128
    assert sizes(cache) == [128, 128]
    assert deferred(cache) == 2000 - 128


def test_what_a_shrinker_says_it_scanned_counts() -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(256))
    cache.scanned = 256
    ask(machine, cache, 0)
    assert sizes(cache) == [128, 128]
    assert deferred(cache) == 0
    assert machine.vmstat.events["slabs_scanned"] == 512


@pytest.mark.parametrize("answer", [0, SHRINK_EMPTY])
def test_nothing_to_free_is_passed_on_and_leaves_the_deferred_count(answer: int) -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(answer))
    cache.nr_deferred[0].value = 7
    assert ask(machine, cache, 0) == answer
    assert cache.scans == []
    assert deferred(cache) == 7


# Where what is deferred waits


def test_a_numa_aware_shrinker_defers_for_each_node() -> None:
    machine = small_machine(None)
    aware, blind = registered(machine, Cache(100)), registered(machine, Cache(100, flags=0))
    for cache in (aware, blind):
        ask(machine, cache, 2, nid=1)
    assert [count.value for count in aware.nr_deferred] == [0, 50]
    assert [count.value for count in blind.nr_deferred] == [50]


@pytest.mark.parametrize(("flags", "nid"), [(AWARE, 1), (SHRINKER_MEMCG_AWARE, 0)])
def test_a_memcg_aware_shrinker_defers_for_each_cgroup(flags: int, nid: int) -> None:
    """One that is not NUMA-aware has all its counts on node 0."""
    machine = small_machine(None)
    job = cgroup(machine)
    cache = registered(machine, Cache(100, flags))
    ask(machine, cache, 2, nid=1, memcg=job)
    ask(machine, cache, 4, nid=1, memcg=machine.memcg.root)
    counts = {}
    for memcg in (job, machine.memcg.root):
        info = memcg.nodeinfo[nid].shrinker_info
        assert info is not None
        counts[memcg.path] = info.unit[0].nr_deferred[cache.id]
    assert counts == {"/job": 50, "/": 12}
    assert [count.value for count in cache.nr_deferred] == [0] * len(cache.nr_deferred)


@pytest.mark.parametrize("parent", ["/", "/a"])
def test_deferred_counts_are_added_to_the_parents(parent: str) -> None:
    machine = small_machine(None)
    machine.memcg.create("/a")
    child = machine.memcg.create("/a/b" if parent == "/a" else "/b")
    above = machine.memcg.by_path[parent]
    cache = registered(machine, Cache(100, AWARE))
    ask(machine, cache, 2, nid=1, memcg=child)
    ask(machine, cache, 3, nid=1, memcg=above)
    machine.memcg.rmdir(child)
    for nid, expected in ((0, 0), (1, 50 + 24)):
        info = above.nodeinfo[nid].shrinker_info
        assert info is not None
        assert info.unit[0].nr_deferred[cache.id] == expected


# Who is asked: shrink_slab()


def test_the_root_asks_every_shrinker_and_adds_up_what_they_freed() -> None:
    machine = small_machine(None)
    caches = [registered(machine, Cache(objects)) for objects in (64, 0, SHRINK_EMPTY, 10)]
    assert machine.shrinkers.shrink_slab(1, machine.memcg.root, 0) == 128 + 20
    assert [cache.scans for cache in caches] == [[(1, "/", 128)], [], [], [(1, "/", 20)]]


def test_without_the_memory_controller_every_shrinker_is_asked_with_no_cgroup() -> None:
    machine = small_machine(None, memcg="disabled")
    cache = registered(machine, Cache(64, AWARE))
    assert not cache.memcg_aware
    assert machine.shrinkers.shrink_slab(0, None, 0) == 128
    assert cache.scans == [(0, "", 128)]


def test_a_cgroup_asks_only_those_whose_bit_it_has() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    first, second = registered(machine, Cache(64, AWARE)), registered(machine, Cache(64, AWARE))
    registered(machine, Cache(64))
    machine.shrinkers.set_shrinker_bit(job, 0, second.id)
    assert machine.shrinkers.shrink_slab(0, job, 0) == 128
    assert machine.shrinkers.shrink_slab(1, job, 0) == 0
    assert first.scans == []
    assert second.scans == [(0, "/job", 128)]


def test_a_cgroup_that_is_not_online_asks_nobody() -> None:
    """B41: what a dying cgroup has is out of reach until it is reparented."""
    machine = small_machine(None)
    job = cgroup(machine)
    cache = registered(machine, Cache(64, AWARE))
    machine.shrinkers.set_shrinker_bit(job, 0, cache.id)
    machine.memcg.kill(job)
    machine.memcg.offline(job)
    assert machine.shrinkers.shrink_slab(0, job, 0) == 0


def test_the_bit_of_an_empty_shrinker_is_cleared_and_of_one_with_nothing_now_kept() -> None:
    """B11: a count of 0 leaves the bit, and each later reclaim asks again."""
    machine = small_machine(None)
    job = cgroup(machine)
    for answer, stays in ((SHRINK_EMPTY, False), (0, True)):
        cache = registered(machine, Cache(answer, AWARE))
        machine.shrinkers.set_shrinker_bit(job, 0, cache.id)
        assert machine.shrinkers.shrink_slab(0, job, 0) == 0
        assert machine.shrinkers.test_shrinker_bit(job, 0, cache.id) is stays
        # Cleared, then asked once more: what came in between must be seen by one of the two.
        assert cache.counts == (1 if stays else 2)


def test_what_was_added_between_count_and_clear_gets_its_bit_back() -> None:
    machine = small_machine(None)
    job = cgroup(machine)

    class Late(Cache):
        """The first question finds nothing, the second finds what was added meanwhile."""

        def count_objects(self, sc: ShrinkControl) -> int:
            super().count_objects(sc)
            if self.counts == 1:
                return SHRINK_EMPTY
            assert not machine.shrinkers.test_shrinker_bit(job, 0, self.id), "not cleared first"
            return self.objects

    cache = registered(machine, Late(64, AWARE))
    machine.shrinkers.set_shrinker_bit(job, 0, cache.id)
    assert machine.shrinkers.shrink_slab(0, job, 0) == 128
    assert machine.shrinkers.test_shrinker_bit(job, 0, cache.id)


@pytest.mark.parametrize("nonslab", [False, True])
def test_with_nokmem_only_shrinkers_of_what_is_charged_anyway_know_cgroups(nonslab: bool) -> None:
    """B08: NONSLAB makes cgroups ask for what all of them share."""
    machine = small_machine(None, memcg="nokmem")
    job = cgroup(machine)
    cache = registered(machine, Cache(64, AWARE | (SHRINKER_NONSLAB if nonslab else 0)))
    assert cache.memcg_aware is nonslab
    machine.shrinkers.set_shrinker_bit(job, 0, cache.id if nonslab else -1)
    assert machine.shrinkers.shrink_slab(0, job, 0) == (128 if nonslab else 0)


def test_a_slab_shrinker_that_has_a_bit_under_nokmem_is_passed_over_and_let_go() -> None:
    """B37: the reference that was taken to look at it must be dropped."""
    machine = small_machine(None)
    job = cgroup(machine)
    cache = registered(machine, Cache(64, AWARE))
    machine.shrinkers.set_shrinker_bit(job, 0, cache.id)
    machine.memcg.kmem_enabled = False
    assert machine.shrinkers.shrink_slab(0, job, 0) == 0
    assert cache.scans == []
    assert cache.refs.refcount == 1
