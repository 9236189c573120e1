# SPDX-License-Identifier: GPL-2.0-only
"""The machine: tasks, regions, and that nothing is left of it."""

from __future__ import annotations

import gc
import sys

import pytest

from tests.mm.small import OOPSES, folio_at, halved, mmap, mthp, small_machine, start, touched
from thplab import designs
from thplab.mm.deferred_split import DeferredSplitQueue, NoQueue
from thplab.mm.invariants import check
from thplab.mm.list_lru import ListLru
from thplab.mm.machine import Machine
from thplab.mm.mm_types import Folio, Task
from thplab.mm.shrinker import ShrinkControl


def test_a_task_has_a_name_of_its_own_and_counts_in_its_cgroup(
    machine: Machine, task: Task
) -> None:
    assert task.memcg.nr_tasks == 1
    with pytest.raises(ValueError, match="task task exists already"):
        start(machine)
    other = machine.memcg.create("/other")
    machine.move_task(task, other)
    assert (machine.memcg.by_path["/job"].nr_tasks, other.nr_tasks) == (0, 1)
    machine.exit(task)
    assert (other.nr_tasks, machine.tasks) == (0, {})


def test_what_was_charged_stays_where_it_was_when_the_task_moves(
    machine: Machine, task: Task
) -> None:
    touched(machine, task, 1)
    old, new = task.memcg, machine.memcg.create("/new")
    machine.move_task(task, new)
    touched(machine, task, 2, 0, "more")
    assert (old.memory.usage, new.memory.usage) == (512, 1024)


def test_a_region_has_a_name_of_its_own(machine: Machine, task: Task) -> None:
    mmap(machine, task, 1)
    with pytest.raises(ValueError, match="task has a region memory already"):
        mmap(machine, task, 1)


def test_two_machines_never_meet() -> None:
    first, second = small_machine(), small_machine()
    halved(first, start(first), 3)
    assert second.vmstat.events == small_machine().vmstat.events
    assert second.memcg.by_path.keys() == {"/"}
    first.memcg.create("/a")
    assert second.memcg.create("/b").kmemcg_id == 0


@pytest.mark.parametrize(
    ("design", "mode"),
    [
        (design, mode)
        for design in (*designs.names(), None)
        for mode in ("on", "nokmem", "disabled")
        if (design, mode) not in OOPSES
    ],
)
def test_nothing_is_left_of_a_machine_that_was_torn_down(design: str | None, mode: str) -> None:
    """The lists are rings of objects that the garbage collector does not follow."""
    machine: Machine | None = small_machine(design, memcg=mode)
    assert machine is not None
    task = start(machine)
    whole = touched(machine, task, 2, 0, "whole")
    halves = halved(machine, task, 2, 1, "halves")
    machine.fork(task, "child")
    machine.move_task(task, machine.memcg.root)
    machine.move_task(machine.tasks["child"], machine.memcg.root)
    machine.memcg.rmdir(machine.memcg.by_path["/job"])
    folios: list[Folio] = [folio_at(vma, slot) for vma in (whole, halves) for slot in (0, 1)]
    machine.teardown()
    del machine, task, whole, halves
    gc.collect()
    # The list, the loop's variable, and the argument of getrefcount().
    assert [sys.getrefcount(folio) for folio in folios] == [3] * 4


@pytest.mark.parametrize("design", designs.names())
def test_a_design_can_be_stopped(design: str) -> None:
    machine = small_machine(design)
    machine.deferred_split.stop()
    assert machine.shrinkers.registered == []
    assert machine.list_lrus.lrus == []


def test_a_list_lru_design_that_never_started_has_nothing_to_release() -> None:
    queue = designs.load("list_lru")(small_machine(None))
    queue.release()
    with pytest.raises(AssertionError, match="not started"):
        queue.lists()


# Without a queue


def test_a_machine_may_have_no_queue_at_all() -> None:
    machine = small_machine(None)
    task = start(machine)
    halved(machine, task, 2)
    queue = machine.deferred_split
    assert isinstance(queue, NoQueue)
    sc = ShrinkControl(0, None, 1)
    assert (queue.count_objects(sc), queue.scan_objects(sc), queue.lists()) == (0, 0, None)
    assert not queue.unqueue(Folio(9, 0))
    assert machine.shrinkers.registered == []
    assert mthp(machine, "split_deferred") == 0
    assert check(machine) == []
    machine.exit(task)
    assert check(machine) == []


def test_the_interface_says_what_a_design_must_have() -> None:
    machine = small_machine(None)
    bare = DeferredSplitQueue(machine)
    folio = Folio(9, 0)
    sc = ShrinkControl(0, None)
    assert bare.prepare(folio)
    assert bare.lists() is None
    bare.reparent(machine.memcg.root, machine.memcg.root)
    bare.release()
    for call in (
        lambda: bare.enqueue(folio, True),
        lambda: bare.unqueue(folio),
        lambda: bare.count_objects(sc),
        lambda: bare.scan_objects(sc),
        lambda: bare.freeze(folio, 1),
    ):
        with pytest.raises(NotImplementedError):
            call()
    bare.start()
    assert machine.shrinkers.registered == [bare]
    bare.stop()
    assert machine.shrinkers.registered == []


def test_a_machine_may_be_torn_down_in_the_middle() -> None:
    machine = small_machine("list_lru")
    extra = ListLru(machine, True)
    task = start(machine)
    extra.memcg_list_lru_alloc(task.memcg)
    folio = folio_at(halved(machine, task, 1), 0)
    machine.teardown()
    assert folio.next is None
    assert machine.tasks == {}
