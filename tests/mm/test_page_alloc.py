# SPDX-License-Identifier: GPL-2.0-only
"""Nodes, watermarks, and what an allocation does before it gives up."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    MIB,
    FailingWatcher,
    bound,
    event,
    fill,
    halved,
    small_machine,
    start,
    touched,
)
from thplab.cpu.hook import Watcher, attach, detach
from thplab.mm.gfp import (
    GFP_DIRECT_RECLAIM,
    GFP_KERNEL,
    GFP_KSWAPD_RECLAIM,
    GFP_NORETRY,
    GFP_THISNODE,
)
from thplab.mm.machine import Machine
from thplab.mm.page_alloc import Node, build_all_zonelists, min_free_kbytes

GIB = 1 << 30


def use(machine: Machine, nid: int, leave: int) -> None:
    """Take base pages of a node so that `leave` are free."""
    node = machine.pages.nodes[nid]
    assert node.take(0, node.free - leave, 0) >= 0
    assert node.free == leave


# Watermarks


@pytest.mark.parametrize(
    ("sizes", "kbytes"),
    [
        # Three zones: DMA and DMA32 on node 0, DMA32 on node 1; 512 pages x 3 x 11.
        ([GIB, GIB], 67584),
        ([64 * GIB], 512 * 3 * 11 * 4),
        ([2 * GIB, 2 * GIB], 67584),
        ([4 * GIB, 4 * GIB], 67584),
        # khugepaged's wish is capped at a twentieth of memory.
        ([128 * MIB, 128 * MIB], 65536 // 20 * 4),
        # 262144 kB is the most that the kernel takes by itself.
        ([1 << 44], 262144),
    ],
)
def test_min_free_kbytes_is_what_khugepaged_raises_it_to(sizes: list[int], kbytes: int) -> None:
    assert min_free_kbytes(sizes) == kbytes


def test_watermarks_of_the_machine_that_was_measured() -> None:
    """Two nodes of 1 GiB: 33 MiB, 41.25 MiB and 49.5 MiB."""
    machine = small_machine(None, mebibytes=1024)
    for node in machine.pages.nodes:
        marks = [node.wmark_min, node.wmark_low, node.wmark_high]
        assert [pages * 4096 / MIB for pages in marks] == [33, 41.25, 49.5]


@pytest.mark.parametrize(("short", "reclaims"), [(54, False), (40, True), (28, True)])
def test_reclaim_begins_where_it_began_on_a_real_kernel(short: int, reclaims: bool) -> None:
    """A task that stopped 54 MiB short of all free memory caused no reclaim; one 28 MiB short did."""
    machine = small_machine("split_queue", mebibytes=1024)
    victim, hog = start(machine, "victim", "/victim"), start(machine, "hog", "/hog")
    halved(machine, victim, 8)
    node = machine.pages.nodes[0]
    vma = machine.mmap(hog, "hog", node.free - short * MIB // 4096, bound(0), "nohugepage")
    for slot in range(len(vma.slots)):
        assert machine.memory.touch(hog, vma, slot, vma.slot_mask(slot), False)
    assert event(machine, "thp_split_page") == (8 if reclaims else 0)
    assert (event(machine, "pageoutrun") > 0) is reclaims
    assert machine.oom.killed == []


# The free lists


def test_a_node_gives_no_more_than_leaves_the_watermark() -> None:
    node = Node(0, 16 * MIB)
    assert node.take(0, 9999, 96) == 4000
    assert node.take(0, 1, 96) == 0
    assert node.take(0, 200, 0) == 96
    node.give(4096)
    assert node.take(9, 3, 0) == 3
    assert node.take(9, 9, 4096 - 3 * 512) == 0
    assert node.take(9, 9, 0) == 5


def test_scattered_pages_are_no_part_of_a_huge_page() -> None:
    node = Node(0, 4 * MIB)
    assert node.take(9, 2, 0) == 2
    node.give(1000, 600)
    assert node.take(9, 1, 0) == 0
    assert node.take(0, 500, 0) == 500
    assert (node.free, node.fragmented) == (500, 100)
    node.made_whole(600)
    assert node.fragmented == 0


def test_a_cpu_takes_two_huge_pages_and_keeps_one() -> None:
    """The watermark is looked at for one; what the CPU keeps is not free, and alone it is no help."""
    node = Node(0, 8 * MIB)
    node.pcp_batch = 2
    assert node.take(9, 1, 600) == 1
    assert (node.free, node.pcp_huge) == (1024, 1)
    assert node.take(9, 1, 600) == 0
    assert node.take(9, 1, 500) == 1
    assert (node.free, node.pcp_huge) == (1024, 0)
    assert node.take(9, 1, 500) == 1
    assert (node.free, node.pcp_huge) == (0, 1)
    assert node.take(0, 1, 0) == 0
    node.drain_pages()
    assert (node.free, node.pcp_huge) == (512, 0)


def test_a_cpu_keeps_no_more_than_there_is() -> None:
    node = Node(0, 4 * MIB)
    node.pcp_batch = 2
    assert node.take(0, 100, 0) == 100
    node.fragmented = 412
    assert node.take(9, 1, 0) == 1
    assert (node.free, node.pcp_huge) == (412, 0)


def test_more_cannot_be_freed_than_there_is() -> None:
    node = Node(0, 4 * MIB)
    with pytest.raises(AssertionError, match="more memory was freed"):
        node.give(1)


def test_a_watched_node_does_the_same(watched: Watcher) -> None:
    node = Node(0, 4 * MIB)
    assert node.take(0, 10, 0) == 10
    node.give(10, 4)
    assert (node.free, node.fragmented) == (1024, 4)


# Zonelists


SQUARE = [[10, 20, 30, 20], [20, 10, 20, 30], [30, 20, 10, 20], [20, 30, 20, 10]]


@pytest.mark.parametrize(
    ("nodes", "distances", "zonelists"),
    [
        (3, [[10, 30, 20], [20, 10, 20], [25, 15, 10]], [[0, 2, 1], [1, 2, 0], [2, 1, 0]]),
        (3, None, [[0, 1, 2], [1, 2, 0], [2, 0, 1]]),
        # These two are what a 7.3 kernel printed when it booted ("Fallback order for Node").
        (4, None, [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]),
        (4, SQUARE, [[0, 1, 3, 2], [1, 2, 0, 3], [2, 3, 1, 0], [3, 0, 2, 1]]),
    ],
)
def test_a_zonelist_goes_by_distance_and_round_among_equals(
    nodes: int, distances: list[list[int]] | None, zonelists: list[list[int]]
) -> None:
    assert build_all_zonelists(nodes, distances) == zonelists
    assert small_machine(None, nodes=nodes, distances=distances).pages.zonelists == zonelists


def test_an_allocation_goes_on_to_the_next_node_but_not_out_of_its_nodemask() -> None:
    machine = small_machine(None, nodes=3)
    for nid in (0, 1):
        use(machine, nid, 0)
    assert machine.pages.alloc_base(0, None, 10, GFP_KERNEL, None) == (2, 10)
    assert machine.pages.alloc_huge(9, 0, None, 0) == 2
    assert machine.pages.alloc_huge(9, 0, [0, 1], GFP_DIRECT_RECLAIM) == -1
    assert machine.pages.alloc_base(0, [0, 1], 10, GFP_DIRECT_RECLAIM, None) == (-1, 0)


def test_above_the_low_watermark_all_pages_come_from_one_node_and_no_further() -> None:
    machine = small_machine(None)
    node = machine.pages.nodes[0]
    use(machine, 0, int(node.wmark_low) + 5)
    assert machine.pages.alloc_base(0, None, 10, GFP_KERNEL, None) == (0, 5)
    assert machine.pages.alloc_base(0, None, 10, GFP_KERNEL, None) == (1, 10)


def test_below_the_low_watermark_kswapd_is_woken_and_the_min_watermark_counts() -> None:
    machine = small_machine(None)
    node = machine.pages.nodes[0]
    use(machine, 0, int(node.wmark_low))
    assert machine.pages.alloc_base(0, [0], 100, GFP_KSWAPD_RECLAIM, None) == (0, 32)
    assert event(machine, "pageoutrun") == 1
    assert event(machine, "allocstall_normal") == 0
    use(machine, 0, int(node.wmark_min))
    assert machine.pages.alloc_base(0, [0], 1, GFP_KSWAPD_RECLAIM, None) == (-1, 0)
    assert event(machine, "allocstall_normal") == 0


@pytest.mark.parametrize("flag", [GFP_NORETRY, GFP_THISNODE])
def test_nobody_is_killed_for_an_allocation_that_can_do_without(flag: int) -> None:
    machine = small_machine(None)
    task = start(machine)
    touched(machine, task, 4)
    use(machine, 0, 0)
    assert machine.pages.alloc_base(0, [0], 1, GFP_KERNEL | flag, None) == (-1, 0)
    assert event(machine, "allocstall_normal") == 2, "do_try_to_free_pages() counts each round"
    assert machine.oom.killed == []
    assert machine.pages.alloc_base(0, [0], 1, GFP_KERNEL, None) == (0, 1)
    assert [name for name, _ in machine.oom.killed] == ["task"]


def test_a_killed_task_gets_nothing_more() -> None:
    machine = small_machine(None)
    task = start(machine)
    use(machine, 0, 0)
    task.mm.killed = True
    assert machine.pages.alloc_base(0, [0], 1, GFP_KERNEL, task.mm) == (-1, 0)


@pytest.mark.parametrize(("missing", "found"), [(512, 0), (513, -1)])
def test_a_huge_page_is_tried_again_after_reclaim_and_never_kills(missing: int, found: int) -> None:
    """Four splits free 1024 base pages; the block itself comes from what lies below the watermark."""
    machine = small_machine("list_lru")
    victim = start(machine, "victim", "/victim")
    halved(machine, victim, 4)
    node = machine.pages.nodes[0]
    use(machine, 0, int(node.wmark_min) - missing)
    assert machine.pages.alloc_huge(9, 0, [0], 0) == -1
    assert event(machine, "thp_split_page") == 0
    assert machine.pages.alloc_huge(9, 0, [0], GFP_DIRECT_RECLAIM) == found
    assert event(machine, "thp_split_page") == 4
    assert machine.oom.killed == []


@pytest.mark.parametrize(("files", "found"), [(0, -1), (300, 0)])
def test_after_reclaim_that_helped_the_cpus_give_back_what_they_keep(
    files: int, found: int
) -> None:
    """Reclaim finds fewer pages than a huge page has, but not none."""
    machine = small_machine("list_lru")
    node = machine.pages.nodes[0]
    node.pcp_batch = 2
    use(machine, 0, int(node.wmark_min) + 1100)
    assert machine.pages.alloc_huge(9, 0, [0], 0) == 0
    node.files = files
    assert machine.pages.alloc_huge(9, 0, [0], GFP_DIRECT_RECLAIM) == found


def test_what_splits_free_is_scattered_and_makes_no_huge_page() -> None:
    machine = small_machine("list_lru")
    victim = start(machine, "victim", "/victim")
    halved(machine, victim, 40)
    node = machine.pages.nodes[0]
    node.take(0, node.free, 0)
    assert machine.pages.alloc_huge(9, 0, [0], GFP_DIRECT_RECLAIM) == -1
    assert (node.free, node.fragmented) == (40 * 256, 40 * 256)
    assert machine.pages.alloc_base(0, [0], 32, GFP_DIRECT_RECLAIM, None) == (0, 32)
    machine.exit(victim)
    assert node.fragmented == 0
    assert machine.pages.alloc_huge(9, 0, [0], 0) == 0


@pytest.mark.parametrize(("gfp", "runs"), [(0, 0), (GFP_KSWAPD_RECLAIM, 1)])
def test_a_huge_page_may_be_above_the_min_watermark_alone_and_may_wake_kswapd(
    gfp: int, runs: int
) -> None:
    """__alloc_pages_slowpath() looks there whatever the allocation may do."""
    machine = small_machine(None)
    node = machine.pages.nodes[0]
    node.wmark_low = node.wmark_min + 1000
    use(machine, 0, int(node.wmark_min) + 600)
    assert machine.pages.alloc_huge(9, 0, [0], gfp) == 0
    assert event(machine, "pageoutrun") == runs
    assert machine.pages.alloc_huge(9, 0, [0], gfp) == -1


def test_on_one_node_alone_a_huge_page_that_is_tried_once_is_not_reclaimed_for() -> None:
    machine = small_machine("list_lru")
    halved(machine, start(machine, "victim", "/victim"), 4)
    use(machine, 0, int(machine.pages.nodes[0].wmark_min))
    once = GFP_DIRECT_RECLAIM | GFP_NORETRY
    assert machine.pages.alloc_huge(9, 0, None, once | GFP_THISNODE) == -1
    assert event(machine, "thp_split_page") == 0
    assert machine.pages.alloc_huge(9, 0, [0], once) == 0
    assert event(machine, "thp_split_page") == 4


@pytest.mark.parametrize(("gap", "splits"), [(1024, 0), (1025, 4)])
def test_before_7_0_a_huge_page_that_is_tried_once_is_reclaimed_for_if_compaction_had_a_chance(
    gap: int, splits: int
) -> None:
    machine = small_machine("list_lru")
    machine.pages.noretry_reclaims = False
    halved(machine, start(machine, "victim", "/victim"), 4)
    node = machine.pages.nodes[0]
    use(machine, 0, int(node.wmark_low) + gap)
    node.fragmented = node.free
    machine.pages.alloc_huge(9, 0, [0], GFP_DIRECT_RECLAIM | GFP_NORETRY)
    assert event(machine, "thp_split_page") == splits


def test_an_allocation_that_fails_by_schedule_fails() -> None:
    machine = small_machine(None)
    attach(FailingWatcher("folio"))
    assert machine.pages.alloc_huge(9, 0, None, GFP_DIRECT_RECLAIM) == -1
    assert machine.pages.alloc_huge(9, 0, None, 0) == 0
    detach()


def test_filling_a_node_ends_in_the_kill_of_who_fills_it(machine: Machine) -> None:
    start(machine, "bystander", "/other")
    hog = start(machine, "hog", "/hog", adj=1000)
    assert not fill(machine, hog, 0)
    assert machine.oom.killed == [("hog", "out of memory on node 0")]
    assert list(machine.tasks) == ["bystander"]
    assert machine.pages.nodes[0].free == machine.pages.nodes[0].managed
    assert machine.pages.nodes[1].free == machine.pages.nodes[1].managed
