# SPDX-License-Identifier: GPL-2.0-only
"""The shrinker core: bits, maps that grow, and registration."""

from __future__ import annotations

import pytest

from tests.mm.cache import AWARE, Cache, ask, registered
from tests.mm.small import FailingWatcher, cgroup, small_machine
from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import Watcher, attach, detach
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import (
    ShrinkControl,
    Shrinker,
)

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


class Setting(Cache):
    """A cache whose scan has something put into two other ones, which so get their bits."""

    def __init__(self, machine: Machine, others: list[Cache]) -> None:
        super().__init__(64, AWARE)
        self.machine = machine
        self.others = others

    def scan_objects(self, sc: ShrinkControl) -> int:
        for other in self.others:
            self.machine.shrinkers.set_shrinker_bit(sc.memcg, sc.nid, other.id)
        return super().scan_objects(sc)


def test_a_bit_that_is_set_during_the_pass_counts_if_it_lies_ahead() -> None:
    """for_each_set_bit() reads the map anew for each bit."""
    machine = small_machine(None)
    job = cgroup(machine)
    before, after = Cache(64, AWARE), Cache(64, AWARE)
    registered(machine, before)
    setting = registered(machine, Setting(machine, [before, after]))
    registered(machine, after)
    machine.shrinkers.set_shrinker_bit(job, 0, setting.id)
    machine.shrinkers.shrink_slab(0, job, 0)
    assert (len(before.scans), len(after.scans)) == (0, 1)
    machine.shrinkers.shrink_slab(0, job, 0)
    assert (len(before.scans), len(after.scans)) == (1, 2)


class Clearing(Cache):
    """A cache during whose scan another CPU finds that there is nothing in another one."""

    def __init__(self, job: MemCgroup, other: Cache) -> None:
        super().__init__(64, AWARE)
        self.job = job
        self.other = other

    def scan_objects(self, sc: ShrinkControl) -> int:
        info = self.job.nodeinfo[0].shrinker_info
        assert info is not None
        info.unit[0].clear_bit(self.other.id)
        return super().scan_objects(sc)


def test_a_bit_that_is_cleared_during_the_pass_does_not_count_any_more() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    after = Cache(64, AWARE)
    clearing = registered(machine, Clearing(job, after))
    registered(machine, after)
    for cache in (clearing, after):
        machine.shrinkers.set_shrinker_bit(job, 0, cache.id)
    machine.shrinkers.shrink_slab(0, job, 0)
    assert (len(clearing.scans), after.counts) == (1, 0)


def test_the_bit_of_a_shrinker_that_is_skipped_is_cleared() -> None:
    """Under nokmem, where 7.2 gives no ids to shrinkers of slab objects, this one has one from before."""
    machine = small_machine(None)
    job = cgroup(machine)
    cache = registered(machine, Cache(64, AWARE))
    machine.shrinkers.set_shrinker_bit(job, 0, cache.id)
    machine.memcg.kmem_enabled = False
    machine.shrinkers.shrink_slab(0, job, 0)
    assert cache.counts == 0
    assert not machine.shrinkers.test_shrinker_bit(job, 0, cache.id)
    assert cache.refs.ref_count() == 1


@pytest.mark.parametrize("mode", ["nokmem", "disabled"])
def test_a_shrinker_that_gets_no_id_has_minus_1(mode: str) -> None:
    """0 would be another's (B10). One that never asked for an id keeps the 0 of fresh memory."""
    machine = small_machine(None, memcg=mode)
    assert registered(machine, Cache(1, AWARE)).id == -1
    assert registered(machine, Cache(1)).id == 0


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
    assert grown.unit[0].nr_deferred[63] == 32
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


def test_who_frees_a_shrinker_waits_for_the_calls_under_way() -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(64, AWARE))
    assert cache.refs.try_get()
    waited: list[object] = []

    class Ending(Watcher):
        """The call ends while somebody waits for it."""

        def block(self, op: int, obj: object) -> None:
            waited.append(obj)
            cache.refs.put_testzero()

    attach(Ending())
    machine.shrinkers.free(cache)
    detach()
    assert waited == [cache.refs]
    assert machine.shrinkers.registered == []


def test_a_shrinker_that_says_it_scanned_nothing_for_ever_is_a_soft_lockup() -> None:
    machine = small_machine(None)
    cache = registered(machine, Cache(64))
    cache.scanned = 0
    with pytest.raises(KernelBug, match="soft lockup: shrinker cache set nr_scanned to 0"):
        ask(machine, cache, 0)


def test_no_memory_for_a_shrinker_is_told() -> None:
    machine = small_machine(None)
    attach(FailingWatcher("shrinker"))
    with pytest.raises(MemoryError, match="cache"):
        machine.shrinkers.alloc(Cache(1))
    detach()


def test_a_shrinker_must_say_how_to_count_and_scan() -> None:
    sc = ShrinkControl(0, None)
    bare = Shrinker("bare")
    for method in (bare.count_objects, bare.scan_objects):
        with pytest.raises(NotImplementedError):
            method(sc)
