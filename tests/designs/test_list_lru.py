# SPDX-License-Identifier: GPL-2.0-only
"""The conversion to list_lru: what became of a folio that a scan could not have, release by release."""

from __future__ import annotations

import pytest

from tests.mm.small import LOWER, entries, folio_at, halved, small_machine, start, touched
from thplab.cpu.hook import H, Watcher, attach, detach
from thplab.cpu.ops import RCU_LOAD
from thplab.designs.list_lru import ListLruQueue
from thplab.designs.list_lru_v1 import ListLruQueueV1
from thplab.mm.invariants import check
from thplab.mm.list_lru import ListLruOne
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import PG_PARTIALLY_MAPPED
from thplab.mm.shrinker import SHRINK_STOP, ShrinkControl
from thplab.releases.release import Release

pytestmark = pytest.mark.usefixtures("cpu_log")


def as_release(name: str, design: str = "list_lru") -> Machine:
    """A machine that does as a release, and queues only what is partially mapped."""
    machine = small_machine(design)
    Release.of_version(name, design).apply(machine)
    machine.huge_memory.thp.shrink_underused = False
    return machine


def list_of(machine: Machine, memcg: MemCgroup) -> ListLruOne:
    """The cgroup's list on node 0."""
    queue = machine.deferred_split
    assert isinstance(queue, ListLruQueue)
    one = queue.the_lru().from_memcg_idx(0, memcg.kmemcg_id)
    assert one is not None
    return one


def scan(machine: Machine, memcg: MemCgroup, wanted: int) -> int:
    """One call of deferred_split_scan()."""
    return int(machine.deferred_split.scan_objects(ShrinkControl(0, memcg, wanted)))


def test_what_could_not_be_split_goes_back_in_reverse() -> None:
    """list_lru_isolate_move() collects at the front of the private list."""
    machine = as_release("7.3")
    task = start(machine)
    vma = halved(machine, task, 6)
    folios = [folio_at(vma, slot) for slot in range(6)]
    for folio in folios:
        folio.get()
    assert scan(machine, task.memcg, 6) == 0
    assert entries(list_of(machine, task.memcg)) == folios[::-1]
    assert check(machine, folios) == []


@pytest.mark.parametrize("release", ["6.12", "7.2", "7.3"])
def test_a_frozen_folio_stays_queued_since_7_3(release: str) -> None:
    """Whoever froze it looks at it as it was: on its list, flagged. Before, the scan took it for a final put."""
    machine = as_release(release)
    task = start(machine)
    folio = folio_at(halved(machine, task, 1), 0)
    references = folio.refcount
    assert folio.ref_freeze(references)
    stays = release == "7.3"
    assert scan(machine, task.memcg, 1) == (SHRINK_STOP if stays else 0)
    assert (folio.next is not None) is stays
    assert (folio.flags & PG_PARTIALLY_MAPPED != 0) is stays
    assert machine.vmstat.mthp[9]["nr_anon_partially_mapped"] == int(stays)
    folio.ref_unfreeze(references)
    assert scan(machine, task.memcg, 1) == (1 if stays else SHRINK_STOP)


@pytest.mark.parametrize("release", ["7.2", "7.3"])
def test_a_scan_that_meets_a_final_put_leaves_nothing_behind(release: str) -> None:
    """Since 7.3 the put takes the folio off its list itself, and clears the flag."""
    machine = as_release(release)
    task = start(machine)
    vma = halved(machine, task, 1)
    folio = folio_at(vma, 0)

    class Meets(Watcher):
        """The last reference is gone, and the put has not come to the queue yet."""

        def done(self, op: int, obj: object, arg: object) -> None:
            if obj is folio and folio.refcount == 0:
                detach()
                assert scan(machine, task.memcg, 1) == (SHRINK_STOP if release == "7.3" else 0)
                assert (folio.next is not None) is (release == "7.3")

    attach(Meets())
    machine.memory.unmap_vma(vma)
    detach()
    assert folio.is_freed()
    assert machine.vmstat.mthp[9]["nr_anon_partially_mapped"] == 0
    assert check(machine) == []


def test_a_frozen_folio_costs_a_visit_and_the_next_one_is_split() -> None:
    machine = as_release("7.3")
    task = start(machine)
    vma = halved(machine, task, 2)
    first = folio_at(vma, 0)
    references = first.refcount
    assert first.ref_freeze(references)
    assert scan(machine, task.memcg, 1) == SHRINK_STOP
    assert scan(machine, task.memcg, 2) == 1
    assert entries(list_of(machine, task.memcg)) == [first]
    first.ref_unfreeze(references)
    assert check(machine) == []


@pytest.mark.parametrize(
    ("release", "design", "stays"),
    [
        ("6.12", "split_queue", False),
        ("7.1", "split_queue_reparented", False),
        ("6.12", "list_lru", False),
        ("7.2", "list_lru", True),
        ("7.3", "list_lru", True),
        ("7.3", "list_lru_v1", False),
    ],
)
def test_a_locked_underused_folio_stays_queued_where_the_scan_requeues_what_it_cannot_lock(
    release: str, design: str, stays: bool
) -> None:
    machine = as_release(release, design)
    machine.huge_memory.thp.shrink_underused = True
    machine.khugepaged.max_ptes_none = 100
    task = start(machine)
    folio = folio_at(touched(machine, task, 1, mask=LOWER), 0)
    assert folio.trylock()
    assert scan(machine, task.memcg, 1) in {0, SHRINK_STOP}
    assert (folio.next is not None) is stays
    folio.unlock()
    assert max(scan(machine, task.memcg, 1), 0) == int(stays)
    assert check(machine) == []


@pytest.mark.parametrize("release", ["7.2", "7.3"])
def test_an_underused_folio_that_cannot_be_split_is_dropped_for_good(release: str) -> None:
    """It was locked, so it goes on at the label `next`, where only the flag counts."""
    machine = as_release(release)
    machine.huge_memory.thp.shrink_underused = True
    machine.khugepaged.max_ptes_none = 100
    task = start(machine)
    folio = folio_at(touched(machine, task, 1, mask=LOWER), 0)
    folio.get()
    assert scan(machine, task.memcg, 1) == 0
    assert folio.next is None
    machine.lru.folio_put(folio)


def test_the_first_version_reads_the_cgroup_again_under_the_lock_when_it_requeues() -> None:
    """So the bit may go to the right cgroup after all (B06)."""
    machine = small_machine("list_lru_v1")
    task = start(machine)
    folio = folio_at(halved(machine, task, 1), 0)
    queue = machine.deferred_split
    assert isinstance(queue, ListLruQueueV1)
    locks_held: list[int] = []

    class Reads(Watcher):
        """Each look at the folio's cgroup."""

        def point(self, op: int, obj: object) -> None:
            if op == RCU_LOAD:
                locks_held.append(int(H.cpu.locks_held))

    attach(Reads())
    queue.requeue(folio)
    detach()
    assert locks_held == [0, 1]
