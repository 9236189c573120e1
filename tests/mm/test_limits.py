# SPDX-License-Identifier: GPL-2.0-only
"""memory.high and memory.max: who reclaims when one is crossed or lowered, and memory.oom.group."""

from __future__ import annotations

import pytest

from tests.mm.small import HUGE, cgroup, event, halved, mmap, start, touched
from thplab.mm.census import census
from thplab.mm.collapse import CollapseControl
from thplab.mm.geometry import FULL_MASK
from thplab.mm.machine import Machine
from thplab.mm.mm_types import Task
from thplab.mm.shrinker_debug import shrinker_debugfs_count


@pytest.mark.parametrize("path", ["/job", "/a"])
def test_a_huge_page_that_crosses_memory_high_is_paid_for_on_the_way_back(
    machine: Machine, path: str
) -> None:
    """Whatever the gfp of the fault: by default it may not reclaim. An ancestor's memory.high does the same."""
    for parent in ("/a", "/a/b"):
        cgroup(machine, parent)
    task = start(machine, path="/job" if path == "/job" else "/a/b/c")
    halved(machine, task, 4)
    limited = machine.memcg.by_path[path]
    limited.memory.high = 4 * HUGE + 1
    vma = mmap(machine, task, 2, 0, "more")
    assert machine.memory.touch(task, vma, 0, 1, False)
    assert event(machine, "thp_split_page") == 4
    assert limited.events == {"high": 1}
    assert machine.memory.touch(task, vma, 1, 1, False)
    assert limited.memory.usage == 4 * 256 + 2 * HUGE
    assert limited.memory.watermark == 5 * HUGE
    assert limited.events == {"high": 1}
    assert task.mm.nr_pages_over_high == 0


def test_a_new_huge_page_over_memory_high_is_underused_until_its_task_writes(
    machine: Machine,
) -> None:
    """The task reclaims on its way back from the fault, and writes only then; each page faults again."""
    task = start(machine)
    machine.khugepaged.max_ptes_none = 0
    vma = mmap(machine, task, 1, 0, "heap")
    task.memcg.memory.high = HUGE - 1
    assert machine.memory.touch(task, vma, 0, FULL_MASK, False)
    assert event(machine, "thp_fault_alloc") == 1
    assert event(machine, "thp_underused_split_page") == 1
    found = census(vma, machine.nr_nodes)
    assert (found.huge, found.base, found.zero) == ([0, 0], [HUGE, 0], 0)


def test_a_huge_page_whose_page_table_is_charged_anew_is_queued_after_the_reclaim(
    machine: Machine,
) -> None:
    """No page is charged in advance for the page table, so the task reclaims within the fault."""
    task = start(machine)
    task.memcg.memory.high = HUGE - 1
    queues = []
    for machine.charges.stock_empty in (False, True):
        touched(machine, task, 1, name=f"when empty is {machine.charges.stock_empty}")
        queues.append(dict(shrinker_debugfs_count(machine, machine.deferred_split)))
    assert queues == [{}, {task.memcg.ino: [1, 0]}], "the first was looked at on the way back"
    assert task.memcg.events == {"high": 1 + 17}, "no second time on the way back"


def test_a_task_far_over_memory_high_tries_again_sixteen_times(machine: Machine) -> None:
    """__mem_cgroup_handle_over_high(): it would have to sleep for more than 10 ms, and nothing was reclaimed."""
    task = start(machine)
    task.memcg.memory.high = HUGE
    touched(machine, task, 2)
    assert task.memcg.events == {"high": 17}


def test_a_task_a_little_over_memory_high_does_not_try_again(machine: Machine) -> None:
    task = start(machine)
    task.memcg.memory.high = 4 * HUGE - 2
    touched(machine, task, 4)
    assert task.memcg.events == {"high": 1}


def test_khugepaged_does_not_reclaim_for_a_memory_high_that_it_crosses(machine: Machine) -> None:
    """It is a thread of the kernel, whose cgroup is the root; MADV_COLLAPSE is the task's own."""
    task = start(machine)
    vma = mmap(machine, task, 2, 0, "memory", "nohugepage")
    for slot in (0, 1):
        assert machine.memory.touch(task, vma, slot, FULL_MASK, False)
    task.memcg.memory.high = 2 * HUGE
    assert machine.khugepaged.collapse(task, vma, 0, CollapseControl(True)) == "succeeded"
    assert task.memcg.events == {}
    assert machine.khugepaged.collapse(task, vma, 1, CollapseControl(False)) == "succeeded"
    assert task.memcg.events["high"] == 17
    assert task.memcg.stat == {"thp_collapse_alloc": 2}
    assert task.memcg.memory.watermark == 3 * HUGE


def test_a_killed_task_pays_for_nothing(machine: Machine, task: Task) -> None:
    task.memcg.memory.high = 0
    task.mm.nr_pages_over_high = 64
    task.mm.killed = True
    machine.charges.handle_over_high(task.memcg, task.mm)
    assert (task.mm.nr_pages_over_high, task.memcg.events) == (0, {})


# Lowered below what is in use


def test_lowering_memory_high_reclaims_at_once(machine: Machine, task: Task) -> None:
    halved(machine, task, 4)
    machine.charges.memory_high_write(task.memcg, 3 * HUGE)
    assert event(machine, "thp_split_page") == 4
    assert task.memcg.memory.usage == 4 * 256
    assert task.memcg.events == {}, "the writer is no task of the cgroup"


def test_lowering_memory_high_gives_up_and_kills_nobody(machine: Machine, task: Task) -> None:
    touched(machine, task, 2)
    machine.charges.memory_high_write(task.memcg, 0)
    assert task.memcg.memory.usage == 2 * HUGE
    assert machine.oom.killed == []


def test_lowering_memory_max_kills_nobody_if_reclaim_is_enough(
    machine: Machine, task: Task
) -> None:
    halved(machine, task, 4)
    machine.charges.memory_max_write(task.memcg, 3 * HUGE)
    assert event(machine, "thp_split_page") == 4
    assert machine.oom.killed == []
    assert (task.memcg.memory.max, task.memcg.events) == (3 * HUGE, {})


def test_lowering_memory_max_kills_as_many_as_it_takes(machine: Machine) -> None:
    for name, huge in (("large", 3), ("small", 1), ("middle", 2)):
        touched(machine, start(machine, name), huge)
    exempt = start(machine, "exempt", adj=-1000)
    touched(machine, exempt, 1)
    job = exempt.memcg
    machine.charges.memory_max_write(job, 2 * HUGE)
    assert [name for name, _ in machine.oom.killed] == ["large", "middle"]
    assert job.events == {"oom": 2, "oom_kill": 2}
    machine.charges.memory_max_write(job, 0)
    assert list(machine.tasks) == ["exempt"]
    assert job.memory.usage == HUGE, "nobody is left to be killed, and the write succeeds"


# memory.oom.group


def test_a_group_dies_as_a_whole(machine: Machine) -> None:
    cgroup(machine, "/pod").oom_group = True
    for name, path, adj in (
        ("app", "/pod/app", 0),
        ("sidecar", "/pod/sidecar", 0),
        ("guard", "/pod/guard", -1000),
        ("other", "/other", 0),
    ):
        touched(machine, start(machine, name, path, adj=adj), 2 if name == "app" else 1)
    app = machine.memcg.by_path["/pod/app"]
    assert machine.oom.mem_cgroup_out_of_memory(machine.memcg.root)
    assert [name for name, _ in machine.oom.killed] == ["app", "sidecar"]
    assert sorted(machine.tasks) == ["guard", "other"]
    assert app.events == {"oom_kill": 1}
    assert machine.memcg.by_path["/pod"].events == {"oom_kill": 2, "oom_group_kill": 1}
    assert event(machine, "oom_kill") == 2


@pytest.mark.parametrize(
    ("grouped", "limited", "dead"),
    [
        ("/pod", "/pod", ["app", "sidecar"]),
        ("/pod", "/pod/app", ["app"]),
        ("/pod/app", "/pod", ["app", "helper"]),
        ("/pod/sidecar", "/pod", ["app"]),
    ],
)
def test_the_group_is_the_highest_one_up_to_the_cgroup_that_is_out_of_memory(
    machine: Machine, grouped: str, limited: str, dead: list[str]
) -> None:
    """mem_cgroup_get_oom_group()."""
    for path in ("/pod", "/pod/app", "/pod/sidecar"):
        cgroup(machine, path)
    machine.memcg.by_path[grouped].oom_group = True
    touched(machine, start(machine, "app", "/pod/app"), 2)
    if "helper" in dead:
        touched(machine, start(machine, "helper", "/pod/app"), 1)
    touched(machine, start(machine, "sidecar", "/pod/sidecar"), 1)
    assert machine.oom.mem_cgroup_out_of_memory(machine.memcg.by_path[limited])
    assert [name for name, _ in machine.oom.killed] == dead


def test_a_victim_outside_of_the_cgroup_has_no_group(machine: Machine) -> None:
    outside = cgroup(machine, "/outside")
    outside.oom_group = True
    assert machine.oom.oom_group(outside, cgroup(machine, "/pod")) is None
    assert machine.oom.oom_group(outside, machine.memcg.root) is outside
