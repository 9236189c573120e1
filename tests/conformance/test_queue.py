# SPDX-License-Identifier: GPL-2.0-only
"""What every design must do alike, however the machine was booted."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    FailingWatcher,
    bound,
    event,
    fill,
    folio_at,
    halved,
    mthp,
    small_machine,
    start,
    touched,
)
from thplab import designs
from thplab.cpu.hook import attach, detach
from thplab.mm.census import census
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import PG_PARTIALLY_MAPPED, Folio
from thplab.mm.shrinker import SHRINK_EMPTY, SHRINK_STOP, ShrinkControl

MODES = ["on", "nokmem", "disabled"]


def made(design: str, mode: str = "on") -> Machine:
    """A machine that queues only what is partially mapped."""
    machine = small_machine(design, memcg=mode)
    machine.huge_memory.thp.shrink_underused = False
    return machine


def asked_for(machine: Machine, memcg: MemCgroup) -> MemCgroup | None:
    """What a shrinker is told: no cgroup where there are none for it."""
    return memcg if machine.deferred_split.memcg_aware else None


def count(machine: Machine, memcg: MemCgroup, nid: int) -> int:
    """The design's count; none at all is 0."""
    found = machine.deferred_split.count_objects(ShrinkControl(nid, asked_for(machine, memcg)))
    return 0 if found == SHRINK_EMPTY else found


def scan(machine: Machine, memcg: MemCgroup, nid: int, wanted: int) -> int:
    """How many were split; SHRINK_STOP is none."""
    sc = ShrinkControl(nid, asked_for(machine, memcg), wanted)
    return max(machine.deferred_split.scan_objects(sc), 0)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_queued_is_counted_found_and_split(design: str, mode: str) -> None:
    machine = made(design, mode)
    task = start(machine)
    vma = halved(machine, task, 3)
    assert count(machine, task.memcg, 0) == 3
    assert check(machine) == []
    assert scan(machine, task.memcg, 0, 2) == 2
    assert count(machine, task.memcg, 0) == 1
    assert census(vma, 2).split == [2, 0]
    assert scan(machine, task.memcg, 0, 10) == 1
    assert count(machine, task.memcg, 0) == 0
    assert event(machine, "thp_split_page") == event(machine, "thp_deferred_split_page") == 3
    assert mthp(machine, "nr_anon_partially_mapped") == 0
    assert check(machine) == []


def test_the_oldest_is_split_first(design: str) -> None:
    machine = made(design)
    task = start(machine)
    regions = [halved(machine, task, 1, 0, f"region{index}") for index in range(4)]
    for wanted in (1, 2):
        assert scan(machine, task.memcg, 0, wanted) == wanted
    assert [census(vma, 2).huge[0] for vma in regions] == [0, 0, 0, 1]


def test_scanning_an_empty_queue_stops_the_shrinker(design: str) -> None:
    machine = made(design)
    job = machine.memcg.create("/job")
    sc = ShrinkControl(0, asked_for(machine, job), 5)
    assert machine.deferred_split.scan_objects(sc) == SHRINK_STOP
    assert machine.deferred_split.count_objects(sc) in {0, SHRINK_EMPTY}


@pytest.mark.parametrize("mode", MODES)
def test_what_is_freed_leaves_the_queue(design: str, mode: str) -> None:
    machine = made(design, mode)
    task = start(machine)
    halved(machine, task, 2)
    folio = folio_at(halved(machine, task, 1, 0, "more"), 0)
    machine.memory.unmap_vma(task.mm.vmas["more"])
    assert folio.is_freed()
    assert count(machine, task.memcg, 0) == 2
    machine.exit(task)
    assert mthp(machine, "nr_anon_partially_mapped") == mthp(machine, "nr_anon") == 0
    assert check(machine) == []


def test_the_root_cgroup_has_a_queue_too(design: str) -> None:
    machine = made(design)
    task = start(machine, path="/")
    halved(machine, task, 2)
    assert count(machine, machine.memcg.root, 0) == 2
    machine.vmscan.try_to_free_pages(0, None)
    assert event(machine, "thp_split_page") == 2
    assert check(machine) == []


@pytest.mark.parametrize("held", ["reference", "lock"])
def test_a_folio_that_could_not_be_split_is_queued_again_behind_the_others(
    design: str, held: str
) -> None:
    machine = made(design)
    task = start(machine)
    vma = halved(machine, task, 3)
    folio = folio_at(vma, 0)
    pins = []
    if held == "reference":
        folio.get()
        pins = [folio]
    else:
        assert folio.trylock()
    assert scan(machine, task.memcg, 0, 3) == 2
    assert folio.flags & PG_PARTIALLY_MAPPED
    assert count(machine, task.memcg, 0) == 1
    assert check(machine, pins) == []
    more = halved(machine, task, 1, 0, "more")
    assert scan(machine, task.memcg, 0, 2) == 1
    assert census(more, 2).split == [1, 0]
    if held == "reference":
        machine.lru.folio_put(folio)
    else:
        folio.unlock()
    assert scan(machine, task.memcg, 0, 1) == 1
    assert check(machine) == []


def test_several_that_could_not_be_split_all_stay_queued(design: str) -> None:
    machine = made(design)
    task = start(machine)
    vma = halved(machine, task, 4)
    pins = [folio_at(vma, slot) for slot in (0, 2, 3)]
    for folio in pins:
        folio.get()
    assert scan(machine, task.memcg, 0, 4) == 1
    assert count(machine, task.memcg, 0) == 3
    assert check(machine, pins) == []
    for folio in pins:
        machine.lru.folio_put(folio)
    assert scan(machine, task.memcg, 0, 4) == 3
    assert check(machine) == []


def test_more_than_a_batch_is_scanned_in_one_call(design: str) -> None:
    """6.19 takes 31 folios at a time."""
    machine = made(design)
    task = start(machine)
    halved(machine, task, 40)
    assert scan(machine, task.memcg, 0, 35) == 35
    assert scan(machine, task.memcg, 0, 35) == 5
    assert check(machine) == []


def test_a_walker_that_meets_a_final_put_leaves_the_folio_to_it(design: str) -> None:
    """The reference count is 0, and the put has not come to the queue yet."""
    machine = made(design)
    task = start(machine)
    vma = halved(machine, task, 2)
    folio = folio_at(vma, 0)
    references = folio.refcount
    assert folio.ref_freeze(references)
    scan(machine, task.memcg, 0, 1)
    assert folio.refcount == 0
    machine.huge_memory.folio_unqueue_deferred_split(folio)
    assert folio.next is None
    assert not folio.flags & PG_PARTIALLY_MAPPED
    folio.ref_unfreeze(references)
    machine.exit(task)
    assert mthp(machine, "nr_anon_partially_mapped") == 0
    assert check(machine) == []


@pytest.mark.parametrize("order", [1, 2, 9])
def test_freezing_fails_with_a_reference_too_many(design: str, order: int) -> None:
    machine = made(design)
    job = machine.memcg.create("/job")
    folio = Folio(order, 0)
    assert machine.pages.alloc_huge(order, 0, None, 0) == 0
    assert machine.charges.charge_folio(folio, job, 0, None)
    assert machine.deferred_split.prepare(folio)
    assert not machine.deferred_split.freeze(folio, 2)
    assert folio.refcount == 1
    machine.huge_memory.deferred_split_folio(folio, True)
    assert machine.deferred_split.freeze(folio, 1)
    assert folio.next is None
    assert not folio.flags & PG_PARTIALLY_MAPPED
    folio.ref_unfreeze(1)
    machine.lru.folio_put(folio)
    assert check(machine) == []


def test_what_is_no_anonymous_folio_can_be_frozen(design: str) -> None:
    """B03: file folios are split too; they are on no queue, and their cgroup may have no lists."""
    machine = made(design)
    folio = Folio(9, 0, 0)
    assert not machine.deferred_split.freeze(folio, 2)
    assert machine.deferred_split.freeze(folio, 1)
    assert folio.refcount == 0


def test_when_memory_is_short_the_fault_falls_back_and_nothing_is_lost(design: str) -> None:
    machine = made(design)
    task = start(machine)
    for index, what in enumerate(("folio", "list_lru_memcg")):
        attach(FailingWatcher(what))
        vma = touched(machine, task, 1, 0, f"region{index}")
        detach()
        assert sum(census(vma, 2).huge) + sum(census(vma, 2).split) == 1
        assert check(machine) == []


@pytest.mark.parametrize("mode", MODES)
def test_pressure_on_a_node_splits_what_is_on_it(design: str, mode: str) -> None:
    machine = made(design, mode)
    victim = start(machine, "victim", "/victim")
    near = halved(machine, victim, 4, 0, "near")
    halved(machine, victim, 4, 1, "far")
    hog = start(machine, "hog", "/hog", adj=1000)
    hog.policy = bound(0)
    assert not fill(machine, hog, 0)
    assert census(near, 2).huge == [0, 0]
    assert [name for name, _ in machine.oom.killed] == ["hog"]
    assert check(machine) == []


def test_a_removed_cgroup_leaves_a_consistent_machine(design: str) -> None:
    """Two generations go, with memory that lives on."""
    machine = made(design)
    machine.memcg.create("/a")
    task = start(machine, path="/a/b")
    halved(machine, task, 3, 0, "near")
    halved(machine, task, 2, 1, "far")
    machine.move_task(task, machine.memcg.root)
    for path in ("/a/b", "/a"):
        machine.memcg.rmdir(machine.memcg.by_path[path])
        assert check(machine) == []
    machine.vmscan.try_to_free_pages(0, None)
    assert check(machine) == []
    machine.exit(task)
    assert check(machine) == []
    assert machine.memcg.root.children == []


def test_the_design_can_be_started_stopped_and_released(design: str) -> None:
    machine = made(design)
    assert machine.deferred_split in machine.shrinkers.registered
    halved(machine, start(machine), 2)
    machine.teardown()
    queue = designs.load(design)(made(design))
    queue.start()
    queue.stop()
    queue.release()


def test_a_design_shows_its_lists(design: str) -> None:
    """Without them the invariants cannot say whether a folio is where it belongs."""
    machine = made(design)
    task = start(machine)
    halved(machine, task, 2)
    lists = machine.deferred_split.lists()
    if lists is None:
        pytest.skip(f"{design} has no lists(): it is not known where its folios wait")
    assert sum(one.length for one in lists if not one.dead) == 2
