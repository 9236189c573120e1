# SPDX-License-Identifier: GPL-2.0-only
"""The debugfs files of a shrinker."""

from __future__ import annotations

import pytest

from tests.mm.small import cgroup, halved, small_machine, start
from thplab.mm.machine import Machine
from thplab.mm.mm_types import Task
from thplab.mm.shrinker import SHRINK_EMPTY, ShrinkControl, Shrinker
from thplab.mm.shrinker_debug import (
    count_columns,
    shrinker_debugfs_count,
    shrinker_debugfs_scan,
)


class Counting(Shrinker):
    """Has 3 objects on node 0 and none, for good, on node 1."""

    def count_objects(self, sc: ShrinkControl) -> int:
        return 3 if sc.nid == 0 else SHRINK_EMPTY

    def scan_objects(self, sc: ShrinkControl) -> int:
        assert sc.memcg is None
        return int(sc.nr_to_scan)


@pytest.mark.parametrize(("design", "columns"), [("list_lru", [2, 3]), ("split_queue", [5, 5])])
def test_the_count_file_has_a_line_for_each_cgroup_with_objects(
    design: str, columns: list[int]
) -> None:
    """The old queue is blind to nodes: the same number stands in each column."""
    machine = small_machine(design)
    task = start(machine)
    cgroup(machine, "/empty")
    for node, huge in ((0, 2), (1, 3)):
        halved(machine, task, huge, node, f"on{node}")
    ino = machine.memcg.by_path["/job"].ino
    queue = machine.deferred_split
    assert shrinker_debugfs_count(machine, queue) == [(ino, columns)]
    assert count_columns(machine, queue, machine.memcg.root) == [0, 0]


@pytest.mark.parametrize("mode", ["on", "nokmem", "disabled"])
def test_a_shrinker_that_knows_no_cgroups_has_one_line_that_looks_like_the_roots(mode: str) -> None:
    """shrinker_debugfs_count_show() prints the id of the cgroup at which its walk stands: the root. Without a memory
    controller there is no cgroup, and the id is 0.
    """
    machine = small_machine(None, memcg=mode)
    cgroup(machine)
    ino = 0 if mode == "disabled" else machine.memcg.root.ino
    numa, blind = Counting("numa", 1), Counting("blind")
    assert shrinker_debugfs_count(machine, numa) == [(ino, [3, 0])]
    assert shrinker_debugfs_count(machine, blind) == [(ino, [3, 0])]
    assert shrinker_debugfs_scan(machine, numa, None, 1, 7) == 7


def test_a_count_file_without_objects_is_empty() -> None:
    machine = small_machine("list_lru", memcg="disabled")
    assert shrinker_debugfs_count(machine, machine.deferred_split) == []


def test_one_write_is_one_call_without_batches_deferred_counts_or_bits() -> None:
    machine = small_machine("list_lru", mebibytes=512)
    task = start(machine)
    halved(machine, task, 200)
    queue = machine.deferred_split
    job = task.memcg
    assert shrinker_debugfs_scan(machine, queue, job, 0, 150) == 150
    assert shrinker_debugfs_scan(machine, queue, job, 0, 150) == 50
    info = job.nodeinfo[0].shrinker_info
    assert info is not None
    assert info.unit[0].nr_deferred[queue.id] == 0
    assert machine.shrinkers.test_shrinker_bit(job, 0, queue.id)
    assert machine.vmstat.events["slabs_scanned"] == 0


def test_asking_for_nothing_does_nothing(machine: Machine, task: Task) -> None:
    halved(machine, task, 1)
    assert shrinker_debugfs_scan(machine, machine.deferred_split, task.memcg, 0, 0) == 0
    assert machine.vmstat.events["thp_split_page"] == 0


@pytest.mark.parametrize("node", [-1, 2])
def test_a_node_that_there_is_not_is_refused(node: int, machine: Machine) -> None:
    job = cgroup(machine)
    with pytest.raises(ValueError, match=f"node {node} of a machine with 2"):
        shrinker_debugfs_scan(machine, machine.deferred_split, job, node, 1)


def test_a_cgroup_that_is_not_online_is_refused() -> None:
    machine = small_machine("list_lru")
    job = cgroup(machine)
    machine.memcg.kill(job)
    machine.memcg.offline(job)
    for memcg in (job, None):
        with pytest.raises(LookupError, match="not online"):
            shrinker_debugfs_scan(machine, machine.deferred_split, memcg, 0, 1)


def test_a_cgroup_is_refused_by_a_shrinker_that_knows_none() -> None:
    machine = small_machine("list_lru", memcg="nokmem")
    with pytest.raises(ValueError, match="not memcg-aware"):
        shrinker_debugfs_scan(machine, machine.deferred_split, cgroup(machine), 0, 1)
