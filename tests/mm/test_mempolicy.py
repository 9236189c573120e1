# SPDX-License-Identifier: GPL-2.0-only
"""Where memory may and should come from."""

from __future__ import annotations

import pytest

from tests.mm.small import HUGE, event, folio_at, halved, small_machine, start
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


def full(machine: Machine, *nodes: int) -> None:
    """Leave these nodes no free page."""
    for nid in nodes:
        node = machine.pages.nodes[nid]
        node.take(0, node.free, 0)


def placed(machine: Machine, policy: Mempolicy | None, thp: str = "default") -> list[int | str]:
    """Where a touch of one slot finds memory: huge pages on each node, then base pages if there are any."""
    task = start(machine)
    vma = map_touched(machine, task, 1, policy, thp)
    found = census(vma, int(machine.nr_nodes))
    base: list[int | str] = ["base", *found.base] if any(found.base) else []
    return [*found.huge, *base]


def test_preferred_goes_elsewhere_when_the_node_is_full_and_bind_does_not() -> None:
    """Base pages do; a huge page would have to be reclaimed for (alloc_pages_mpol())."""
    machine = small_machine(None)
    full(machine, 1)
    task = start(machine)
    region = map_touched(machine, task, 2, Mempolicy("preferred", [1]))
    assert (census(region, 2).huge, census(region, 2).base) == ([0, 0], [1024, 0])
    assert event(machine, "thp_fault_fallback") == 2
    assert Mempolicy("preferred", [1]).nodemask() is None
    assert Mempolicy("bind", [1, 0]).nodemask() == [0, 1]
    vma = machine.mmap(task, "bound", HUGE, Mempolicy("bind", [1]))
    assert not machine.memory.touch(task, vma, 0, 1, False)
    assert machine.oom.killed == [("task", "out of memory on node 1")]


DEFRAG = [
    # defrag, MADV_HUGEPAGE: whether the fault may reclaim, and so may take the huge page of another node
    ("always", "default", True),
    ("always", "hugepage", True),
    ("defer", "default", False),
    ("defer", "hugepage", False),
    ("defer+madvise", "default", False),
    ("defer+madvise", "hugepage", True),
    ("madvise", "default", False),
    ("madvise", "hugepage", True),
    ("never", "default", False),
    ("never", "hugepage", False),
]


@pytest.mark.parametrize(("defrag", "thp", "spills"), DEFRAG)
@pytest.mark.parametrize("policy", [None, Mempolicy("preferred", [0])], ids=["local", "preferred"])
def test_a_huge_page_spills_only_if_the_fault_may_reclaim(
    policy: Mempolicy | None, defrag: str, thp: str, spills: bool
) -> None:
    machine = small_machine(None)
    machine.huge_memory.thp.defrag = defrag
    full(machine, 0)
    assert placed(machine, policy, thp) == ([0, 1] if spills else [0, 0, "base", 0, 512])
    assert event(machine, "thp_fault_fallback") == (not spills)


@pytest.mark.parametrize(("defrag", "thp", "spills"), DEFRAG)
def test_bound_to_several_nodes_it_spills_no_further_than_them(
    defrag: str, thp: str, spills: bool
) -> None:
    machine = small_machine(None, nodes=3)
    machine.huge_memory.thp.defrag = defrag
    full(machine, 0)
    expected = [0, 0, 1] if spills else [0, 0, 0, "base", 0, 0, 512]
    assert placed(machine, Mempolicy("bind", [0, 2]), thp) == expected


def test_bound_to_nodes_without_the_task_it_takes_any_of_them() -> None:
    """alloc_pages_mpol(): the node where the allocation begins is not allowed, so no node goes first."""
    machine = small_machine(None, nodes=3)
    full(machine, 1)
    assert placed(machine, Mempolicy("bind", [1, 2])) == [0, 0, 1]


def test_interleaved_it_takes_the_next_node_when_the_one_in_turn_is_full() -> None:
    """No policy's mask limits it: the other node need not be one of those in turn."""
    machine = small_machine(None, nodes=3)
    full(machine, 1)
    assert placed(machine, Mempolicy("interleave", [1])) == [0, 0, 1]


def test_preferred_many_takes_other_nodes_after_all_of_its_own() -> None:
    """Huge pages too: alloc_pages_preferred_many() comes before the rule of the one node."""
    many = Mempolicy("preferred_many", [1, 2])
    assert many.nodemask() == [1, 2]
    machine = small_machine(None, nodes=4)
    for filled, expected in (
        ((), [0, 1, 0, 0]),
        ((1,), [0, 0, 1, 0]),
        ((2,), [1, 0, 0, 0]),
        ((0,), [0, 0, 0, 1]),
    ):
        full(machine, *filled)
        task = start(machine, f"task{len(machine.tasks)}")
        assert census(map_touched(machine, task, 1, many), 4).huge == expected
    assert event(machine, "thp_fault_fallback") == 0


def test_preferred_many_base_pages_go_on_to_other_nodes_without_reclaim() -> None:
    machine = small_machine("list_lru", nodes=3)
    halved(machine, start(machine, "victim"), 4, 1)
    full(machine, 1)
    assert placed(machine, Mempolicy("preferred_many", [1]), "nohugepage")[3:] == [
        "base",
        512,
        0,
        0,
    ]
    assert event(machine, "allocstall_normal") == 0
    assert event(machine, "pageoutrun") == 1, "kswapd of the preferred node is woken all the same"


def test_weighted_interleaving_takes_each_node_as_often_as_its_weight_says() -> None:
    machine = small_machine(None, nodes=3)
    machine.mempolicy.weights = [3, 9, 2]
    task = start(machine)
    vma = map_touched(machine, task, 10, Mempolicy("weighted_interleave", [2, 0]))
    nodes = [folio_at(vma, slot).nid for slot in range(10)]
    assert nodes == [0, 0, 0, 2, 2, 0, 0, 0, 2, 2]
    small = map_touched(machine, task, 5, Mempolicy("weighted_interleave", [0, 2]), "nohugepage")
    assert census(small, 3).base == [5 * 512 * 3 // 5, 0, 5 * 512 * 2 // 5]
    assert check(machine) == []


def test_without_weights_it_is_interleaving() -> None:
    plain, weighted = (Mempolicy(mode, [3, 1, 2]) for mode in ("interleave", "weighted_interleave"))
    for index in range(7):
        assert plain.preferred_nid(0, index, [1] * 4) == weighted.preferred_nid(0, index, [1] * 4)


def test_in_a_vma_that_begins_within_a_slot_huge_pages_interleave_one_earlier() -> None:
    """get_vma_policy() rounds the VMA's place and the way from there each for itself."""
    machine = small_machine(None, nodes=3)
    task = start(machine)
    vma = machine.mmap(task, "memory", 4 * HUGE, Mempolicy("interleave", [0, 1, 2]))
    machine.memory.unmap_part(vma, 0, 1)
    for slot in range(1, 4):
        machine.memory.touch(task, vma, slot, 1, False)
    assert [folio_at(vma, slot).nid for slot in range(1, 4)] == [0, 1, 2]
    machine.memory.unmap_part(vma, 1, FULL_MASK)
    machine.memory.zap(vma, 2, FULL_MASK)
    machine.memory.touch(task, vma, 2, 1, False)
    assert folio_at(vma, 2).nid == 2, "what is left begins with a slot again"


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
    assert [int(policy.preferred_nid(0, index, [1] * 4)) for index in range(4)] == [1, 2, 3, 1]


def test_interleaved_base_pages_stop_when_the_task_is_killed() -> None:
    machine = small_machine(None)
    task = start(machine)
    task.memcg.memory.max = 100
    vma = machine.mmap(task, "memory", HUGE, Mempolicy("interleave", [0, 1]), "nohugepage")
    assert not machine.memory.touch(task, vma, 0, FULL_MASK, False)
    assert check(machine) == []


def test_a_policy_needs_nodes() -> None:
    for mode in ("bind", "preferred", "preferred_many", "interleave", "weighted_interleave"):
        with pytest.raises(ValueError, match=f"policy {mode} needs nodes"):
            Mempolicy(mode, [])


@pytest.mark.parametrize(
    ("mode", "runs"), [("bind", 1), ("preferred_many", 1), ("preferred", 0), ("interleave", 0)]
)
def test_what_a_process_needs_wakes_kswapd_of_the_nodes_of_its_policy(mode: str, runs: int) -> None:
    """Unless the policy lets it go on to another node first."""
    machine = small_machine()
    task = start(machine)
    task.policy = Mempolicy(mode, [1])
    node = machine.pages.nodes[1]
    node.take(0, node.free - node.wmark_low, 0)
    before = [int(one.free) for one in machine.pages.nodes]
    machine.mempolicy.alloc_own(task)
    assert event(machine, "pageoutrun") == runs
    assert [int(one.free) for one in machine.pages.nodes] == before
