# SPDX-License-Identifier: GPL-2.0-only
"""Whom the OOM killer picks."""

from __future__ import annotations

from tests.mm.small import HUGE, bound, cgroup, event, mmap, start, touched
from thplab.mm.geometry import FULL_MASK
from thplab.mm.machine import Machine
from thplab.mm.mempolicy import Mempolicy


def test_the_largest_task_is_killed_and_all_its_memory_freed(machine: Machine) -> None:
    for name, huge in (("small", 1), ("large", 3)):
        touched(machine, start(machine, name, f"/{name}"), huge)
    assert machine.oom.out_of_memory(None)
    assert machine.oom.killed == [("large", "out of memory")]
    assert list(machine.tasks) == ["small"]
    assert machine.memcg.by_path["/large"].memory.usage == 0
    assert machine.memcg.by_path["/large"].events == {"oom_kill": 1}
    assert event(machine, "oom_kill") == 1


def test_a_point_of_adjustment_is_a_thousandth_of_memory(machine: Machine) -> None:
    task = start(machine, adj=3)
    touched(machine, task, 1)
    assert machine.oom.badness(task, 65536) == 512 + 3 * 65
    task.oom_score_adj = -1000
    assert machine.oom.badness(task, 65536) == 512 - 65000


def test_the_adjustment_decides_and_the_first_of_equals_is_taken(machine: Machine) -> None:
    touched(machine, start(machine, "large", "/large"), 3)
    start(machine, "adjusted", "/adjusted", adj=500)
    start(machine, "equal", "/equal", adj=500)
    assert machine.oom.out_of_memory([0])
    assert machine.oom.killed == [("adjusted", "out of memory on node 0")]


def test_who_is_exempt_or_dead_already_is_not_killed(machine: Machine) -> None:
    exempt = start(machine, "exempt", "/exempt", adj=-1000)
    touched(machine, exempt, 2)
    assert not machine.oom.out_of_memory(None)
    dead = start(machine, "dead", "/dead")
    dead.mm.killed = True
    assert not machine.oom.out_of_memory(None)
    assert machine.oom.killed == []


def test_a_task_that_is_bound_elsewhere_cannot_help(machine: Machine) -> None:
    away, here, free = (start(machine, name, f"/{name}") for name in ("away", "here", "free"))
    away.policy, here.policy, free.policy = bound(1), bound(0), Mempolicy("preferred", [1])
    touched(machine, away, 3, 1)
    touched(machine, here, 2, 0)
    touched(machine, free, 1, 1)
    for _ in range(2):
        assert machine.oom.out_of_memory([0])
    assert not machine.oom.out_of_memory([0])
    assert [name for name, _ in machine.oom.killed] == ["here", "free"]
    assert machine.oom.out_of_memory(None)


def test_a_cgroups_oom_stays_within_it(machine: Machine) -> None:
    cgroup(machine, "/a")
    outside = start(machine, "outside", "/outside")
    touched(machine, outside, 5)
    for name, huge in (("child", 1), ("larger", 2)):
        touched(machine, start(machine, name, f"/a/{name}"), huge)
    parent = machine.memcg.by_path["/a"]
    parent.memory.max = 2000
    assert machine.oom.mem_cgroup_out_of_memory(parent)
    assert machine.oom.killed == [("larger", "memory cgroup /a out of memory")]
    assert parent.events == {"oom": 1, "oom_kill": 1}


# A second victim


def test_a_victim_that_ends_too_early_is_followed_by_a_second_one(machine: Machine) -> None:
    """Bit n of second_victims stands for the nth choice, from 0."""
    for name, huge in (("first", 4), ("second", 3), ("third", 2), ("last", 1)):
        touched(machine, start(machine, name), huge)
    machine.oom.second_victims = 2
    job = machine.memcg.by_path["/job"]
    assert machine.oom.mem_cgroup_out_of_memory(job)
    assert [name for name, _ in machine.oom.killed] == ["first"]
    assert machine.oom.mem_cgroup_out_of_memory(job)
    assert [name for name, _ in machine.oom.killed] == ["first", "second", "third"]


def test_a_task_that_is_its_own_victim_cannot_end_before_the_choice(machine: Machine) -> None:
    hog, other = start(machine, "hog"), start(machine, "other")
    touched(machine, other, 1)
    machine.oom.second_victims = 1
    hog.memcg.memory.max = 3 * HUGE
    vma = mmap(machine, hog, 3, thp="nohugepage")
    assert not all(machine.memory.touch(hog, vma, slot, FULL_MASK, False) for slot in range(3))
    assert [name for name, _ in machine.oom.killed] == ["hog"]
