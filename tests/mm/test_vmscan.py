# SPDX-License-Identifier: GPL-2.0-only
"""Reclaim: priorities, nodes, cgroups, protection, and requests."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    HUGE,
    cgroup,
    event,
    fill,
    halved,
    small_machine,
    start,
    touched,
)
from thplab.mm.census import census
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import Task
from thplab.mm.shrinker import SHRINKER_MEMCG_AWARE, SHRINKER_NUMA_AWARE, ShrinkControl, Shrinker
from thplab.mm.vmscan import ScanControl

DESIGNS = ["split_queue", "split_queue_reparented", "list_lru"]


class Asked(Shrinker):
    """Notes who is asked: (node, cgroup's path)."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("asked", SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE)
        self.questions: list[tuple[int, str]] = []
        machine.shrinkers.register(self)

    def everywhere(self, machine: Machine) -> Asked:
        """Have every cgroup's bit set on every node."""
        for memcg in machine.memcg.iterate(machine.memcg.root):
            for nid in range(machine.nr_nodes):
                machine.shrinkers.set_shrinker_bit(memcg, nid, self.id)
        return self

    def count_objects(self, sc: ShrinkControl) -> int:
        self.questions.append((int(sc.nid), "-" if sc.memcg is None else sc.memcg.path))
        return 0

    def scan_objects(self, sc: ShrinkControl) -> int:
        raise AssertionError("there is nothing to scan")


def use(memcg: MemCgroup, pages: int = 100) -> MemCgroup:
    """Reclaim passes over a cgroup that uses nothing."""
    memcg.memory.charge(pages)
    return memcg


# The priority loop


def test_direct_reclaim_goes_from_priority_12_to_0_on_the_nodes_of_the_mask() -> None:
    machine = small_machine(None, nodes=3)
    asked = Asked(machine)
    assert machine.vmscan.try_to_free_pages(1, [0, 1]) == 0
    assert asked.questions == [(1, "/"), (0, "/")] * 13 * 2


@pytest.mark.parametrize(("repeats", "rounds"), [(True, 2), (False, 1)])
def test_direct_reclaim_that_reclaimed_nothing_tries_all_priorities_again_since_6_9(
    repeats: bool, rounds: int
) -> None:
    """do_try_to_free_pages(): with memcg_full_walk."""
    machine = small_machine(None)
    machine.vmscan.repeats_fully = repeats
    asked = Asked(machine)
    assert machine.vmscan.try_to_free_pages(0, [0]) == 0
    assert len(asked.questions) == 13 * rounds
    assert event(machine, "allocstall_normal") == rounds
    asked.questions.clear()
    assert machine.vmscan.try_to_free_mem_cgroup_pages(machine.memcg.root, 1) == 0
    assert len(asked.questions) == 13 * rounds * 2
    assert event(machine, "allocstall_normal") == rounds, "reclaim of a cgroup is no stall"


def test_without_a_mask_every_node_of_the_zonelist_is_reclaimed() -> None:
    machine = small_machine(None, distances=[[10, 20], [20, 10]])
    asked = Asked(machine)
    machine.vmscan.try_to_free_pages(1, None)
    assert asked.questions[:2] == [(1, "/"), (0, "/")]


def test_every_online_cgroup_below_the_target_is_asked_parents_first() -> None:
    machine = small_machine(None)
    for path in ("/a", "/a/b", "/c"):
        use(cgroup(machine, path))
    asked = Asked(machine).everywhere(machine)
    machine.vmscan.shrink_node(0, ScanControl(None, 1))
    assert asked.questions == [(0, "/"), (0, "/a"), (0, "/a/b"), (0, "/c")]
    asked.questions.clear()
    machine.vmscan.shrink_node(1, ScanControl(machine.memcg.by_path["/a"], 1))
    assert asked.questions == [(1, "/a"), (1, "/a/b")]


def test_without_the_memory_controller_each_node_is_asked_once_a_round() -> None:
    machine = small_machine(None, memcg="disabled")
    cgroup(machine)
    asked = Asked(machine)
    machine.vmscan.shrink_node(0, ScanControl(None, 1))
    assert asked.questions == [(0, "-")]


def test_reclaim_that_freed_enough_goes_no_further() -> None:
    machine = small_machine(None)
    sc = ScanControl(None, 32)
    sc.nr_reclaimed = 32
    asked = Asked(machine)
    assert machine.vmscan._do_try_to_free_pages(sc, 0, None) == 32
    assert len(asked.questions) == 2


# Protection


@pytest.mark.parametrize(
    ("setting", "spared"), [(0, False), (50, False), (99, False), (100, True), (999, True)]
)
def test_a_cgroup_within_its_memory_min_is_spared(setting: int, spared: bool) -> None:
    machine = small_machine(None)
    job = use(cgroup(machine))
    job.memory.min = setting
    asked = Asked(machine).everywhere(machine)
    sc = ScanControl(None, 1)
    machine.vmscan.shrink_node(0, sc)
    assert ((0, "/job") not in asked.questions) is spared
    assert not sc.memcg_low_skipped


def test_a_cgroup_that_uses_nothing_is_spared() -> None:
    machine = small_machine(None)
    cgroup(machine)
    asked = Asked(machine).everywhere(machine)
    machine.vmscan.shrink_node(0, ScanControl(None, 1))
    assert asked.questions == [(0, "/")]


def test_memory_low_holds_until_nothing_else_was_found() -> None:
    machine = small_machine(None)
    job = use(cgroup(machine))
    job.memory.low = 100
    asked = Asked(machine).everywhere(machine)
    machine.vmscan.try_to_free_pages(0, [0])
    assert asked.questions == [(0, "/")] * 13 * 2 + [(0, "/"), (0, "/job")] * 13
    assert job.events == {"low": 13}


def test_the_target_of_a_reclaim_is_not_protected_from_it() -> None:
    machine = small_machine(None)
    job = use(cgroup(machine))
    job.memory.min = 1000
    asked = Asked(machine).everywhere(machine)
    machine.vmscan.shrink_node(0, ScanControl(job, 1))
    assert asked.questions == [(0, "/job")]


def test_protection_reaches_down_as_far_as_the_parents_does() -> None:
    machine = small_machine(None)
    parent = cgroup(machine, "/a")
    first, second = use(cgroup(machine, "/a/first")), use(cgroup(machine, "/a/second"))
    first.memory.min = second.memory.min = 100
    asked = Asked(machine).everywhere(machine)
    parent.memory.min = 100
    machine.vmscan.shrink_node(0, ScanControl(None, 1))
    assert [path for _, path in asked.questions] == ["/", "/a", "/a/first", "/a/second"]
    asked.questions.clear()
    parent.memory.min = 200
    machine.vmscan.shrink_node(0, ScanControl(None, 1))
    assert [path for _, path in asked.questions] == ["/"]


@pytest.mark.parametrize(("protects", "spared"), [(True, True), (False, False)])
def test_direct_reclaim_of_the_machine_goes_by_kswapds_protection_before_7_3(
    protects: bool, spared: bool
) -> None:
    """shrink_one(): with the multi-generational LRU. Reclaim of a cgroup always computes it."""
    machine = small_machine(None)
    machine.vmscan.direct_protects = protects
    use(cgroup(machine, "/a"))
    job = use(cgroup(machine, "/a/b"))
    job.memory.min = machine.memcg.by_path["/a"].memory.min = 1000
    asked = Asked(machine).everywhere(machine)
    machine.vmscan.shrink_node(0, ScanControl(None, 1))
    assert ((0, "/a/b") not in asked.questions) is spared
    asked.questions.clear()
    machine.vmscan.shrink_node(0, ScanControl(machine.memcg.by_path["/a"], 1))
    assert asked.questions == [(0, "/a")]
    job.memory.emin = 0
    machine.pages.nodes[0].free = 0
    machine.vmscan.wakeup_kswapd(0)
    asked.questions.clear()
    machine.vmscan.shrink_node(0, ScanControl(None, 1))
    assert asked.questions == [(0, "/")], "kswapd has computed it"


@pytest.mark.parametrize(("recursive", "spared"), [(True, True), (False, False)])
def test_a_child_without_protection_shares_its_parents_by_the_mount_option(
    recursive: bool, spared: bool
) -> None:
    """memory_recursiveprot, with which systemd mounts cgroup2."""
    machine = small_machine(None)
    machine.memcg.recursiveprot = recursive
    cgroup(machine, "/slice").memory.min = 500
    use(cgroup(machine, "/slice/service"))
    asked = Asked(machine).everywhere(machine)
    machine.vmscan.shrink_node(0, ScanControl(None, 1))
    assert ((0, "/slice/service") not in asked.questions) is spared


# kswapd


def test_kswapd_stops_at_priority_1() -> None:
    machine = small_machine(None)
    asked = Asked(machine)
    node = machine.pages.nodes[0]
    node.free = node.wmark_high - 1
    machine.vmscan.wakeup_kswapd(0)
    assert asked.questions == [(0, "/")] * 12
    assert (node.kswapd_failures, event(machine, "pageoutrun")) == (1, 1)


def test_kswapd_sleeps_while_the_node_is_balanced() -> None:
    machine = small_machine(None)
    asked = Asked(machine)
    node = machine.pages.nodes[0]
    node.free = node.wmark_high
    machine.vmscan.wakeup_kswapd(0)
    assert asked.questions == []
    assert event(machine, "pageoutrun") == 0


def test_kswapd_gives_up_after_sixteen_runs_for_nothing() -> None:
    machine = small_machine(None)
    node = machine.pages.nodes[0]
    node.free = 0
    for _ in range(20):
        machine.vmscan.wakeup_kswapd(0)
    assert (node.kswapd_failures, event(machine, "pageoutrun")) == (16, 16)


def test_kswapd_breaks_memory_low_in_a_second_round() -> None:
    machine = small_machine(None)
    job = use(cgroup(machine))
    job.memory.low = 100
    asked = Asked(machine).everywhere(machine)
    machine.pages.nodes[0].free = 0
    machine.vmscan.wakeup_kswapd(0)
    assert asked.questions == [(0, "/")] * 12 + [(0, "/"), (0, "/job")] * 12


@pytest.mark.parametrize(("huge", "by_kswapd"), [(1, 0), (3, 3)])
def test_a_lone_huge_page_waits_for_direct_reclaim_and_three_do_not(
    huge: int, by_kswapd: int, machine: Machine, task: Task
) -> None:
    """Seen on a real kernel: with one object nothing is due above priority 0."""
    halved(machine, task, huge)
    node = machine.pages.nodes[0]
    taken = node.take(0, node.free, 0)
    for _ in range(16):
        machine.vmscan.wakeup_kswapd(0)
    assert event(machine, "thp_split_page") == by_kswapd
    machine.vmscan.try_to_free_pages(0, [0])
    assert event(machine, "thp_split_page") == huge
    node.give(taken)


class Freeing(Asked):
    """Has 10000 objects, and each that is scanned gives a page to the node."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.nodes = machine.pages.nodes

    def count_objects(self, sc: ShrinkControl) -> int:
        super().count_objects(sc)
        return 10_000

    def scan_objects(self, sc: ShrinkControl) -> int:
        self.nodes[sc.nid].give(sc.nr_to_scan)
        return int(sc.nr_to_scan)


def test_kswapd_stops_as_soon_as_the_node_is_balanced() -> None:
    """A whole batch is due at priority 8 for the first time: 10000 / 256 * 2, and what was deferred."""
    machine = small_machine(None)
    asked = Freeing(machine)
    node = machine.pages.nodes[0]
    node.free = node.wmark_high - 1
    machine.vmscan.wakeup_kswapd(0)
    assert node.free == node.wmark_high - 1 + 128
    assert len(asked.questions) < 12
    assert node.kswapd_failures == 0


# On request


@pytest.mark.parametrize("design", DESIGNS)
def test_memory_reclaim_splits_on_every_node(design: str) -> None:
    machine = small_machine(design)
    task = start(machine)
    halved(machine, task, 2, 0, "near")
    halved(machine, task, 2, 1, "far")
    other = start(machine, "other", "/other")
    halved(machine, other, 2)
    assert not machine.vmscan.memory_reclaim(task.memcg, 10 * HUGE)
    assert event(machine, "thp_split_page") == 4
    assert task.memcg.memory.usage == 4 * 256
    assert other.memcg.memory.usage == 2 * HUGE
    assert check(machine) == []


def test_a_request_that_gets_nothing_is_tried_seventeen_times() -> None:
    machine = small_machine(None)
    job = use(cgroup(machine))
    asked = Asked(machine).everywhere(machine)
    assert not machine.vmscan.memory_reclaim(job, 1)
    assert len(asked.questions) == 17 * 13 * 2 * 2, "on two nodes, twice"
    asked.questions.clear()
    machine.vmscan.min_slab_ratio = 0
    assert not machine.vmscan.node_reclaim(0, 4)
    assert len(asked.questions) == 17 * 13 * 2, "the root and the cgroup, on one node"


def test_a_request_for_less_than_four_pages_of_a_node_is_tried_at_one_priority() -> None:
    """user_proactive_reclaim() asks for a quarter, and __node_reclaim() has reclaimed 0 at once."""
    machine = small_machine(None)
    machine.vmscan.min_slab_ratio = 0
    asked = Asked(machine)
    assert not machine.vmscan.node_reclaim(0, 3)
    assert len(asked.questions) == 17


@pytest.mark.parametrize(
    ("design", "split"), [("split_queue", 5), ("split_queue_reparented", 5), ("list_lru", 2)]
)
def test_reclaim_of_a_node_splits_on_it_or_on_all(design: str, split: int) -> None:
    machine = small_machine(design)
    task = start(machine)
    halved(machine, task, 2, 0, "near")
    halved(machine, task, 3, 1, "far")
    assert not machine.vmscan.node_reclaim(0, HUGE)
    assert event(machine, "thp_split_page") == 0
    machine.vmscan.min_unmapped_ratio = 0
    assert not machine.vmscan.node_reclaim(0, HUGE)
    assert event(machine, "thp_split_page") == split
    assert check(machine) == []


def test_asking_for_nothing_is_granted() -> None:
    machine = small_machine(None)
    assert machine.vmscan.memory_reclaim(machine.memcg.root, 0)
    assert machine.vmscan.node_reclaim(0, 0)


def test_what_a_split_frees_does_not_count_as_reclaimed(machine: Machine, task: Task) -> None:
    """What a split frees is seen by the allocator, not by reclaim."""
    halved(machine, task, 4)
    free = machine.pages.nodes[0].free
    assert machine.vmscan.try_to_free_pages(0, [0]) == 0
    assert machine.pages.nodes[0].free == free + 4 * 256


# Pressure, from end to end


@pytest.mark.parametrize(
    ("design", "far"), [("split_queue", 0), ("split_queue_reparented", 0), ("list_lru", 6)]
)
def test_pressure_on_one_node_reaches_the_other_or_not(design: str, far: int) -> None:
    machine = small_machine(design)
    machine.huge_memory.thp.shrink_underused = False
    victim = start(machine, "victim", "/victim")
    halved(machine, victim, 2, 0, "near")
    halved(machine, victim, 6, 1, "far")
    hog = start(machine, "hog", "/hog", adj=1000)
    assert not fill(machine, hog, 0)
    assert census(victim.mm.vmas["near"], 2).huge == [0, 0]
    assert census(victim.mm.vmas["far"], 2).huge == [0, far]
    assert machine.oom.killed == [("hog", "out of memory on node 0")]
    assert check(machine) == []


def test_a_machine_without_a_queue_survives_pressure() -> None:
    machine = small_machine(None)
    victim, hog = start(machine, "victim", "/victim"), start(machine, "hog", "/hog", adj=1000)
    touched(machine, victim, 2)
    assert not fill(machine, hog, 0)
    assert event(machine, "thp_split_page") == 0
    assert check(machine) == []
