# SPDX-License-Identifier: GPL-2.0-only
"""The shrinker core: how much is asked for, and of whom."""

from __future__ import annotations

import pytest

from tests.mm.small import FailingWatcher, cgroup, small_machine
from thplab.cpu.hook import BOOT_CPU, attach, detach
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import (
    SHRINK_EMPTY,
    SHRINK_STOP,
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NONSLAB,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
    Shrinker,
)

AWARE = SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE


class Cache(Shrinker):
    """A cache that notes each question: (node, cgroup's path, objects to scan)."""

    def __init__(
        self, objects: int, flags: int = SHRINKER_NUMA_AWARE, seeks: int = 2, batch: int = 0
    ) -> None:
        super().__init__("cache", flags, seeks, batch)
        self.objects = objects
        self.counts = 0
        self.scans: list[tuple[int, str, int]] = []
        self.results: list[int] = []
        self.scanned: int | None = None

    def count_objects(self, sc: ShrinkControl) -> int:
        self.counts += 1
        return self.objects

    def scan_objects(self, sc: ShrinkControl) -> int:
        path = "" if sc.memcg is None else sc.memcg.path
        self.scans.append((int(sc.nid), path, int(sc.nr_to_scan)))
        if self.scanned is not None:
            sc.nr_scanned = self.scanned
        if self.results:
            return self.results.pop(0)
        return int(sc.nr_to_scan)


def registered(machine: Machine, cache: Cache) -> Cache:
    """The cache, known to the machine."""
    machine.shrinkers.register(cache)
    return cache


def ask(
    machine: Machine, cache: Cache, priority: int, nid: int = 0, memcg: MemCgroup | None = None
) -> int:
    """do_shrink_slab() of the machine."""
    return int(machine.shrinkers.do_shrink_slab(ShrinkControl(nid, memcg), cache, priority))


def sizes(cache: Cache) -> list[int]:
    """What each call of scan_objects() was asked for."""
    return [count for _, _, count in cache.scans]


def deferred(cache: Cache, nid: int = 0) -> int:
    """What waits for the next call."""
    return int(cache.nr_deferred[nid].value)


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
        counts[memcg.path] = info.unit[0].read_deferred(cache.id)
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
        assert info.unit[0].read_deferred(cache.id) == expected


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


# Bits


def test_bits_are_not_set_for_the_root_for_nobody_or_without_an_id() -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(1, AWARE))
    root = machine.memcg.root
    machine.shrinkers.set_shrinker_bit(root, 0, cache.id)
    machine.shrinkers.set_shrinker_bit(None, 0, cache.id)
    machine.shrinkers.set_shrinker_bit(cgroup(machine), 0, -1)
    assert not machine.shrinkers.test_shrinker_bit(root, 0, cache.id)
    assert not machine.shrinkers.test_shrinker_bit(machine.memcg.by_path["/job"], 0, -1)
    assert not machine.shrinkers.test_shrinker_bit(machine.memcg.by_path["/job"], 0, 64)


def test_an_id_beyond_the_map_is_complained_about(warnings_of: dict[str, int]) -> None:
    """B10: with nokmem there is no map at all."""
    machine = small_machine(None, memcg="nokmem")
    job = cgroup(machine)
    machine.shrinkers.set_shrinker_bit(job, 0, 0)
    assert list(warnings_of) == ["WARNING: mm/shrinker.c: set_shrinker_bit(): id >= map_nr_max"]


def test_maps_grow_for_the_65th_shrinker_and_keep_what_they_have() -> None:
    machine = small_machine(None)
    old = cgroup(machine, "/old")
    caches = [registered(machine, Cache(64, AWARE)) for _ in range(64)]
    machine.shrinkers.set_shrinker_bit(old, 0, 63)
    ask(machine, caches[63], 2, nid=0, memcg=old)
    outgrown = old.nodeinfo[0].shrinker_info
    assert outgrown is not None
    assert (outgrown.map_nr_max, len(outgrown.unit), outgrown.freed) == (64, 1, False)
    last = registered(machine, Cache(64, AWARE))
    assert last.id == 64
    grown = old.nodeinfo[0].shrinker_info
    assert grown is not None
    assert (grown.map_nr_max, len(grown.unit)) == (128, 2)
    assert grown.unit[0] is outgrown.unit[0]
    assert outgrown.freed
    new = cgroup(machine, "/new")
    for memcg in (old, new):
        machine.shrinkers.set_shrinker_bit(memcg, 0, 64)
        assert machine.shrinkers.test_shrinker_bit(memcg, 0, 64)
    assert machine.shrinkers.test_shrinker_bit(old, 0, 63)
    assert grown.unit[0].read_deferred(63) == 32
    machine.shrinkers.shrink_slab(0, old, 0)
    assert (len(caches[63].scans), len(last.scans)) == (1, 1)


def test_a_reader_of_the_outgrown_map_is_waited_for() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    registered(machine, Cache(1, AWARE))
    outgrown = job.nodeinfo[0].shrinker_info
    assert outgrown is not None
    machine.rcu.read_lock()
    machine.shrinkers._expand_info(64)
    assert not outgrown.freed
    machine.rcu.read_unlock()
    assert outgrown.freed


# Registration


def test_a_freed_shrinker_is_asked_no_more_and_its_id_is_used_again() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    first = registered(machine, Cache(64, AWARE))
    second = registered(machine, Cache(64, AWARE))
    machine.shrinkers.set_shrinker_bit(job, 0, first.id)
    machine.shrinkers.free(first)
    assert machine.shrinkers.registered == [second]
    assert machine.shrinkers.shrink_slab(0, job, 0) == 0
    assert not machine.shrinkers.test_shrinker_bit(job, 0, 0), "the bit of nobody is cleared"
    assert registered(machine, Cache(1, AWARE)).id == 0
    plain = registered(machine, Cache(1))
    machine.shrinkers.free(plain)
    assert plain not in machine.shrinkers.registered


def test_a_shrinker_that_was_never_registered_can_be_freed() -> None:
    machine = small_machine(None)
    cache = Cache(1, AWARE)
    machine.shrinkers.alloc(cache)
    machine.shrinkers.free(cache)
    assert registered(machine, Cache(1, AWARE)).id == 0


def test_a_shrinker_that_is_going_is_not_asked() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    cache = registered(machine, Cache(64, AWARE))
    machine.shrinkers.set_shrinker_bit(job, 0, cache.id)
    assert cache.refs.put_testzero()
    for memcg in (machine.memcg.root, job):
        assert machine.shrinkers.shrink_slab(0, memcg, 0) == 0
    assert cache.counts == 0


def test_a_call_that_never_ends_hangs_the_one_who_frees(warnings_of: dict[str, int]) -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(64))
    assert cache.refs.try_get()
    machine.shrinkers.free(cache)
    assert list(warnings_of) == ["INFO: task hung: shrinker cache has references nobody will drop"]


def test_no_memory_for_a_shrinker_is_told() -> None:
    machine = small_machine(None)
    attach(FailingWatcher("shrinker"), [BOOT_CPU])
    with pytest.raises(MemoryError, match="cache"):
        machine.shrinkers.alloc(Cache(1))
    detach()


def test_a_shrinker_must_say_how_to_count_and_scan() -> None:
    sc = ShrinkControl(0, None)
    bare = Shrinker("bare")
    for method in (bare.count_objects, bare.scan_objects):
        with pytest.raises(NotImplementedError):
            method(sc)
