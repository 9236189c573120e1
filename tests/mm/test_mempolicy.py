# SPDX-License-Identifier: GPL-2.0-only
"""Where memory may and should come from."""

from __future__ import annotations

import pytest

from tests.mm.small import HUGE, small_machine, start
from thplab.mm.census import census
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mempolicy import Mempolicy
from thplab.mm.mm_types import Task, Vma


def map_touched(
    machine: Machine, task: Task, huge: int, policy: Mempolicy | None, thp: str = "default"
) -> Vma:
    """A region of huge pages under the policy, touched."""
    vma = machine.mmap(task, f"region{len(task.mm.vmas)}", huge * HUGE, policy, thp)
    for slot in range(huge):
        assert machine.memory.touch(task, vma, slot, FULL_MASK, False)
    return vma


def test_without_a_policy_memory_is_local() -> None:
    machine = small_machine(None)
    task = start(machine)
    task.cpu_nid = 1
    assert census(map_touched(machine, task, 3, None), 2).huge == [0, 3]


def test_a_regions_policy_comes_before_the_tasks() -> None:
    machine = small_machine(None)
    task = start(machine)
    task.policy = Mempolicy("bind", [1])
    assert census(map_touched(machine, task, 2, None), 2).huge == [0, 2]
    assert census(map_touched(machine, task, 2, Mempolicy("bind", [0])), 2).huge == [2, 0]
    assert census(map_touched(machine, task, 2, Mempolicy("local", [])), 2).huge == [2, 0]


def test_preferred_goes_elsewhere_when_the_node_is_full_and_bind_does_not() -> None:
    machine = small_machine(None)
    task = start(machine)
    node = machine.pages.nodes[1]
    node.take(0, node.free, 0)
    assert census(map_touched(machine, task, 2, Mempolicy("preferred", [1])), 2).huge == [2, 0]
    assert Mempolicy("preferred", [1]).nodemask() is None
    assert Mempolicy("bind", [1, 0]).nodemask() == [0, 1]
    vma = machine.mmap(task, "bound", HUGE, Mempolicy("bind", [1]))
    assert not machine.memory.touch(task, vma, 0, 1, False)
    assert machine.oom.killed == [("task", "out of memory on node 1")]


@pytest.mark.parametrize(("cpu", "expected"), [(0, [0, 0, 2]), (1, [0, 2, 0]), (2, [0, 0, 2])])
def test_bind_takes_the_nearest_of_its_nodes(cpu: int, expected: list[int]) -> None:
    """Not the lowest: from node 0, node 2 is nearer than node 1."""
    distances = [[10, 30, 20], [20, 10, 20], [25, 15, 10]]
    machine = small_machine(None, nodes=3, distances=distances)
    task = start(machine)
    task.cpu_nid = cpu
    assert census(map_touched(machine, task, 2, Mempolicy("bind", [1, 2])), 3).huge == expected


def test_a_regions_huge_pages_interleave_by_their_place() -> None:
    machine = small_machine(None, nodes=3)
    task = start(machine)
    vma = machine.mmap(task, "memory", 6 * HUGE, Mempolicy("interleave", [2, 0]))
    for slot in (5, 0, 3, 1):
        machine.memory.touch(task, vma, slot, FULL_MASK, False)
    nodes = [None if here is None else here.nid for here in vma.slots]  # type: ignore[union-attr]
    assert nodes == [0, 2, None, 2, None, 2]


def test_base_pages_interleave_page_by_page() -> None:
    machine = small_machine(None)
    task = start(machine)
    vma = map_touched(machine, task, 2, Mempolicy("interleave", [0, 1]), "nohugepage")
    found = census(vma, 2)
    assert found.base == [512, 512]
    assert check(machine) == []


def test_a_tasks_policy_interleaves_by_place_too() -> None:
    """get_vma_policy() gives a fault its place whosever the policy is."""
    machine = small_machine(None)
    task = start(machine)
    task.policy = Mempolicy("interleave", [0, 1])
    vma = machine.mmap(task, "memory", 4 * HUGE)
    for slot in (2, 0, 3):
        machine.memory.touch(task, vma, slot, FULL_MASK, False)
    assert [vma.slots[slot].nid for slot in (2, 0, 3)] == [0, 0, 1]  # type: ignore[union-attr]
    small = machine.mmap(task, "small", HUGE, None, "nohugepage")
    machine.memory.touch(task, small, 0, 0b1011, False)
    assert census(small, 2).base == [1, 2]


def test_interleaving_goes_round() -> None:
    policy = Mempolicy("interleave", [3, 1, 2])
    assert [int(policy.preferred_nid(0, index)) for index in range(4)] == [1, 2, 3, 1]


def test_interleaved_base_pages_stop_when_the_task_is_killed() -> None:
    machine = small_machine(None)
    task = start(machine)
    task.memcg.memory.max = 100
    vma = machine.mmap(task, "memory", HUGE, Mempolicy("interleave", [0, 1]), "nohugepage")
    assert not machine.memory.touch(task, vma, 0, FULL_MASK, False)
    assert check(machine) == []


def test_a_policy_needs_nodes() -> None:
    for mode in ("bind", "preferred", "interleave"):
        with pytest.raises(ValueError, match=f"policy {mode} needs nodes"):
            Mempolicy(mode, [])
