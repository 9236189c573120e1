# SPDX-License-Identifier: GPL-2.0-only
"""What a shrinker frees in pages of its own: whose reclaim counts it as progress."""

from __future__ import annotations

import pytest

from tests.mm.small import HUGE, cgroup, event, small_machine, start
from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import H
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import (
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
    Shrinker,
)
from thplab.mm.vmscan import ReclaimState

PER_PAGE = 32


class Dentries(Shrinker):
    """Objects of which 32 fit in a base page. Each scan says what it freed in pages.

    Args:
        gives: how many of these pages the node gets back, in truth.
    """

    def __init__(self, machine: Machine, objects: int, gives: int = 1) -> None:
        super().__init__("dentries", SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE)
        self.machine = machine
        self.objects = objects
        self.gives = gives
        machine.shrinkers.register(self)

    def of(self, memcg: MemCgroup) -> Dentries:
        """Have reclaim of the cgroup ask for them."""
        for nid in range(self.machine.nr_nodes):
            self.machine.shrinkers.set_shrinker_bit(memcg, nid, self.id)
        return self

    def count_objects(self, sc: ShrinkControl) -> int:
        return self.objects

    def scan_objects(self, sc: ShrinkControl) -> int:
        freed = min(int(sc.nr_to_scan), self.objects)
        self.objects -= freed
        pages = freed // PER_PAGE
        node = self.machine.pages.nodes[sc.nid]
        node.give(min(pages * self.gives, node.managed - node.free))
        self.machine.vmscan.mm_account_reclaimed_pages(pages)
        return freed


def pages_freed(cache: Dentries, at_first: int) -> int:
    return (at_first - cache.objects) // PER_PAGE


def test_a_shrinker_of_100000_objects_makes_requests_succeed() -> None:
    machine = small_machine(None)
    cache = Dentries(machine, 100_000)
    assert machine.vmscan.memory_reclaim(machine.memcg.root, 1000)
    assert 1000 <= pages_freed(cache, 100_000) < 3000
    before = cache.objects
    machine.vmscan.min_slab_ratio = 0
    assert machine.vmscan.node_reclaim(1, 100)
    assert 100 <= pages_freed(cache, before) < 2000


def test_memory_reclaim_of_a_cgroup_does_not_count_slab() -> None:
    """flush_reclaim_state(): -EAGAIN, though 3125 pages went."""
    machine = small_machine(None)
    job = cgroup(machine)
    job.memory.charge(1)
    cache = Dentries(machine, 100_000).of(job)
    assert not machine.vmscan.memory_reclaim(job, 1)
    assert pages_freed(cache, 100_000) > 3000


def test_direct_reclaim_returns_what_shrinkers_freed_and_stops() -> None:
    machine = small_machine(None)
    cache = Dentries(machine, 100_000)
    reclaimed = machine.vmscan.try_to_free_pages(0, None)
    assert reclaimed == pages_freed(cache, 100_000)
    assert 32 <= reclaimed < 1000


def test_objects_freed_outside_of_reclaim_are_nobodys_progress() -> None:
    machine = small_machine(None)
    machine.vmscan.mm_account_reclaimed_pages(100)
    assert machine.vmscan.try_to_free_pages(0, None) == 0


def test_kswapd_that_makes_progress_has_not_failed() -> None:
    machine = small_machine(None)
    node = machine.pages.nodes[0]
    cache = Dentries(machine, 100_000)
    node.free = node.wmark_min
    node.kswapd_failures = 15
    machine.vmscan.wakeup_kswapd(0)
    assert node.free >= node.wmark_high
    assert cache.objects < 100_000
    assert node.kswapd_failures == 0


@pytest.mark.parametrize(("until_balanced", "failures"), [(True, 16), (False, 0)])
def test_progress_that_does_not_balance_the_node_revives_no_kswapd(
    until_balanced: bool, failures: int
) -> None:
    """kswapd_try_clear_hopeless() of 7.2; in 6.12 any progress does."""
    machine = small_machine(None)
    machine.vmscan.hopeless_until_balanced = until_balanced
    node = machine.pages.nodes[0]
    Dentries(machine, 20_000, gives=0)
    node.free = 0
    node.kswapd_failures = 16
    assert machine.vmscan.try_to_free_pages(0, [0]) > 0
    assert node.kswapd_failures == failures


def test_kswapd_repeats_a_round_that_reclaimed_enough() -> None:
    """Not so the one that did not: then the next priority is due."""
    machine = small_machine(None)
    node = machine.pages.nodes[0]
    enough = int(node.wmark_high)

    class Plenty(Dentries):
        rounds: list[int]

        def count_objects(self, sc: ShrinkControl) -> int:
            self.rounds.append(int(sc.nid))
            if len(self.rounds) <= 5:
                self.machine.vmscan.mm_account_reclaimed_pages(enough)
            return 0

    cache = Plenty(machine, 0)
    cache.rounds = []
    node.free = 0
    machine.vmscan.wakeup_kswapd(0)
    assert len(cache.rounds) == 5 + 12


def test_a_shrinker_that_lies_for_ever_is_a_soft_lockup() -> None:
    machine = small_machine(None, nodes=1)
    node = machine.pages.nodes[0]
    enough = int(node.wmark_high)

    class Liar(Dentries):
        def count_objects(self, sc: ShrinkControl) -> int:
            self.machine.vmscan.mm_account_reclaimed_pages(enough)
            return 0

    Liar(machine, 0)
    node.free = 0
    with pytest.raises(KernelBug, match="soft lockup: shrinkers told kswapd0"):
        machine.vmscan.wakeup_kswapd(0)


def test_an_allocation_is_killed_for_though_shrinkers_claim_progress() -> None:
    """should_reclaim_retry() goes by free and reclaimable LRU pages alone."""
    machine = small_machine(None, nodes=1)
    task = start(machine)
    Dentries(machine, 100_000, gives=0)
    node = machine.pages.nodes[0]
    node.take(0, node.free, 0)
    vma = machine.mmap(task, "more", HUGE, None, "nohugepage")
    assert not machine.memory.touch(task, vma, 0, 1, False)
    assert event(machine, "oom_kill") == 1


def test_a_reclaim_inside_a_reclaim_is_complained_of(warnings_of: dict[str, int]) -> None:
    vmscan = small_machine(None).vmscan
    vmscan.set_task_reclaim_state(ReclaimState())
    vmscan.set_task_reclaim_state(ReclaimState())
    assert list(warnings_of) == [
        "WARNING: set_task_reclaim_state(): a reclaim began inside a reclaim"
    ]


def test_each_cpu_has_a_reclaim_state_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    vmscan = small_machine(None).vmscan
    first, second = ReclaimState(), ReclaimState()
    vmscan.set_task_reclaim_state(first)
    monkeypatch.setattr(H, "cpu", type(H.cpu)(1))
    vmscan.set_task_reclaim_state(second)
    vmscan.mm_account_reclaimed_pages(3)
    vmscan.set_task_reclaim_state(None)
    monkeypatch.undo()
    vmscan.mm_account_reclaimed_pages(4)
    assert (first.reclaimed, second.reclaimed) == (4, 3)
