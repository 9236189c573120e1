# SPDX-License-Identifier: GPL-2.0-only
"""Charges, limits, events, and OOM kills within a cgroup."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    HUGE,
    cgroup,
    event,
    folio_at,
    halved,
    mmap,
    mthp,
    small_machine,
    start,
    touched,
)
from thplab.mm.geometry import FULL_MASK
from thplab.mm.gfp import GFP_DIRECT_RECLAIM, GFP_KERNEL, GFP_NORETRY
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_PARTIALLY_MAPPED, Folio, Task


def test_a_huge_page_that_does_not_fit_falls_back_to_base_pages_that_do(
    machine: Machine, task: Task
) -> None:
    task.memcg.memory.max = 700
    vma = mmap(machine, task, 2)
    assert machine.memory.touch(task, vma, 0, FULL_MASK, False)
    assert machine.memory.touch(task, vma, 1, (1 << 100) - 1, False)
    assert task.memcg.memory.usage == 612
    assert event(machine, "thp_fault_fallback") == event(machine, "thp_fault_fallback_charge") == 1
    assert mthp(machine, "anon_fault_fallback_charge") == 1
    assert task.memcg.events == {"max": 1}


def test_a_charge_that_is_refused_at_once_counts_since_7_3(machine: Machine) -> None:
    """The end of try_charge_memcg(): until 7.2 only a charge that reclaimed was counted."""
    job = cgroup(machine)
    job.memory.max = 4
    machine.charges.counts_refused = False
    assert not machine.charges.try_charge(job, 5, 0, None)
    assert job.events == {}
    machine.charges.counts_refused = True
    assert not machine.charges.try_charge(job, 5, 0, None)
    assert job.events == {"max": 1}


def test_at_the_limit_partially_mapped_huge_pages_are_split_on_every_node(
    machine: Machine, task: Task
) -> None:
    halved(machine, task, 2, 0, "near")
    halved(machine, task, 2, 1, "far")
    task.memcg.memory.max = 4 * HUGE
    more = mmap(machine, task, 1, 0, "more", "nohugepage")
    assert machine.memory.touch(task, more, 0, FULL_MASK, False)
    assert event(machine, "thp_split_page") == 4
    assert task.memcg.events["max"] >= 1
    assert "oom" not in task.memcg.events
    assert task.memcg.memory.usage == 4 * 256 + 512


def test_a_limit_that_reclaim_cannot_meet_ends_in_a_kill_within_the_cgroup(
    machine: Machine,
) -> None:
    cgroup(machine)
    hog = start(machine, "hog", "/job/hog")
    bystander = start(machine, "bystander", "/other", adj=1000)
    touched(machine, bystander, 20, 1)
    parent = machine.memcg.by_path["/job"]
    parent.memory.max = 100
    vma = mmap(machine, hog, 1, 0, "memory", "nohugepage")
    assert not machine.memory.touch(hog, vma, 0, FULL_MASK, False)
    assert machine.oom.killed == [("hog", "memory cgroup /job out of memory")]
    assert parent.events["oom"] == 1
    assert parent.events["oom_kill"] == 1
    assert hog.memcg.events == {"oom_kill": 1}
    assert "bystander" in machine.tasks
    assert parent.memory.usage == 0


def test_when_another_task_is_killed_the_charge_goes_through(machine: Machine) -> None:
    big = start(machine, "big", "/job", adj=500)
    small = start(machine, "small", "/job")
    touched(machine, big, 1)
    small.memcg.memory.max = 600
    vma = mmap(machine, small, 1, 0, "memory", "nohugepage")
    assert machine.memory.touch(small, vma, 0, FULL_MASK, False)
    assert [name for name, _ in machine.oom.killed] == ["big"]


def test_nobody_is_killed_for_the_charge_of_a_huge_page(machine: Machine, task: Task) -> None:
    """mem_cgroup_oom() refuses above PAGE_ALLOC_COSTLY_ORDER: the fault falls back instead."""
    machine.huge_memory.thp.defrag = "madvise"
    task.memcg.memory.max = 700
    vma = mmap(machine, task, 2, thp="hugepage")
    assert machine.memory.touch(task, vma, 0, FULL_MASK, False)
    assert machine.memory.touch(task, vma, 1, 1, False)
    assert machine.oom.killed == []
    assert event(machine, "thp_fault_fallback_charge") == 1
    assert task.memcg.events["max"] > 1
    assert "oom" not in task.memcg.events


def test_a_charge_may_be_told_not_to_try_again(machine: Machine) -> None:
    job = cgroup(machine)
    job.memory.max = 4
    assert not machine.charges.try_charge(job, 5, GFP_DIRECT_RECLAIM | GFP_NORETRY, None)
    assert job.events == {"max": 2}, "the second time after drain_all_stock()"


def test_a_cgroup_with_nobody_to_kill_just_fails(machine: Machine) -> None:
    job = cgroup(machine)
    job.memory.max = 4
    assert not machine.charges.try_charge(job, 5, GFP_KERNEL, None)
    assert job.events["oom"] == 1
    assert job.events["max"] == 18


def test_over_memory_high_is_reclaimed_but_not_refused(machine: Machine, task: Task) -> None:
    halved(machine, task, 4)
    task.memcg.memory.high = 3 * HUGE
    more = mmap(machine, task, 1, 0, "more", "nohugepage")
    assert machine.memory.touch(task, more, 0, 1, False)
    assert event(machine, "thp_split_page") == 4
    assert task.memcg.events == {"high": 1}
    assert machine.memory.touch(task, more, 0, FULL_MASK, False)
    assert task.memcg.memory.usage == 4 * 256 + 512


def test_events_are_counted_in_every_ancestor(machine: Machine) -> None:
    cgroup(machine, "/a")
    child = cgroup(machine, "/a/b")
    child.memory.max = 1
    machine.charges.try_charge(child, 2, GFP_DIRECT_RECLAIM | GFP_NORETRY, None)
    for path in ("/a/b", "/a"):
        assert machine.memcg.by_path[path].events == {"max": 2}


def test_the_limit_in_the_way_may_be_an_ancestors(machine: Machine) -> None:
    cgroup(machine, "/a").memory.max = 1
    child = cgroup(machine, "/a/b")
    assert not machine.charges.try_charge(child, 2, GFP_DIRECT_RECLAIM | GFP_NORETRY, None)
    assert machine.memcg.by_path["/a"].events == {"max": 2}
    assert child.events == {}
    with pytest.raises(AssertionError, match="no ancestor"):
        machine.charges.owner_of(machine.memcg.by_path["/a"], child.memory)


def test_a_folio_is_charged_whole_and_uncharged_where_it_belongs_by_then() -> None:
    machine = small_machine()
    task = start(machine, path="/a")
    job = task.memcg
    folio = Folio(9, 0)
    assert machine.pages.alloc_huge(9, 0, None, 0) == 0
    assert machine.charges.charge_folio(folio, job, GFP_KERNEL, None)
    assert job.memory.usage == machine.memcg.root.memory.usage == HUGE
    machine.exit(task)
    machine.memcg.rmdir(job)
    machine.charges.uncharge_folio(folio)
    machine.charges.uncharge_folio(folio)
    assert machine.memcg.root.memory.usage == 0
    assert folio.objcg is None


def test_an_uncharge_takes_a_queued_folio_off_and_complains(
    warnings_of: dict[str, int],
) -> None:
    """uncharge_folio() is the last that could find the queue. Whoever holds the last reference comes before."""
    machine = small_machine()
    folio = folio_at(halved(machine, start(machine), 1), 0)
    references = folio.refcount
    assert folio.ref_freeze(references)
    machine.charges.uncharge_folio(folio)
    assert folio.next is None
    assert not folio.flags & PG_PARTIALLY_MAPPED
    assert list(warnings_of) == [
        "WARNING: uncharge_folio(): the folio was still queued for splitting"
    ]


def test_without_the_memory_controller_nothing_is_charged() -> None:
    machine = small_machine(memcg="disabled")
    job = cgroup(machine)
    job.memory.max = 0
    folio = Folio(9, 0)
    assert machine.charges.charge_folio(folio, job, GFP_KERNEL, None)
    assert machine.charges.try_charge(job, 10, GFP_KERNEL, None)
    objcg = machine.objcgs.get(job, 0)
    machine.charges.uncharge_pages(objcg, 10)
    assert (folio.objcg, job.memory.usage) == (None, 0)


def test_a_killed_task_is_charged_nothing_more(machine: Machine, task: Task) -> None:
    task.memcg.memory.max = 4
    task.mm.killed = True
    assert not machine.charges.try_charge(task.memcg, 5, GFP_KERNEL, task.mm)
    assert task.memcg.events == {"max": 1}
