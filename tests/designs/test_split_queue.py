# SPDX-License-Identifier: GPL-2.0-only
"""The queues of 5.4 to 7.1: what is peculiar to them."""

from __future__ import annotations

import pytest

from tests.mm.small import entries, folio_at, halved, small_machine, start
from thplab.cpu.hook import Watcher
from thplab.designs.split_queue import SplitQueue
from thplab.designs.split_queue_reparented import SplitQueueReparented
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import Folio
from thplab.mm.shrinker import SHRINK_STOP, ShrinkControl


def queue_of(machine: Machine) -> SplitQueue:
    """The design."""
    queue = machine.deferred_split
    assert isinstance(queue, SplitQueue)
    return queue


pytestmark = pytest.mark.usefixtures("cpu_log")


def test_a_queue_is_a_cgroups_and_only_without_cgroups_a_nodes() -> None:
    machine = small_machine("split_queue")
    job = machine.memcg.create("/job")
    queue = queue_of(machine)
    assert queue.queue_of(job, 0) is queue.queue_of(job, 1)
    assert queue.queue_of(machine.memcg.root, 0) is queue.queue_of(machine.memcg.root, 1)
    assert queue.queue_of(None, 0) is not queue.queue_of(None, 1)
    assert repr(queue.queue_of(job, 0)) == "deferred_split(memcg /job, 0)"


def test_a_cgroup_that_takes_over_an_id_gets_a_queue_of_its_own() -> None:
    machine = small_machine("split_queue")
    first = machine.memcg.create("/job")
    old = queue_of(machine).queue_of(first, 0)
    machine.memcg.rmdir(first)
    second = machine.memcg.create("/job")
    assert second.kmemcg_id == 0
    assert queue_of(machine).queue_of(second, 0) is not old


def test_what_could_not_be_split_goes_back_to_the_tail_in_reverse() -> None:
    """6.12 collects at the front of its list on the stack."""
    machine = small_machine("split_queue")
    machine.huge_memory.thp.shrink_underused = False
    task = start(machine)
    vma = halved(machine, task, 3)
    folios = [folio_at(vma, slot) for slot in range(3)]
    for folio in folios[:2]:
        folio.get()
    assert machine.deferred_split.scan_objects(ShrinkControl(0, task.memcg, 2)) == 0
    queue = queue_of(machine).queue_of(task.memcg, 0)
    assert entries(queue) == [folios[2], folios[1], folios[0]]
    assert check(machine, folios[:2]) == []


def test_the_last_reference_may_be_the_scanners() -> None:
    """The task goes while its folio is on the scanner's list: the put after the splice frees it."""
    machine = small_machine("split_queue")
    task = start(machine)
    vma = halved(machine, task, 1)
    folio = folio_at(vma, 0)
    assert folio.trylock()
    splice = []

    class Going(SplitQueue):
        """The task ends while the scan is under way."""

        def _split_all(self, dispose: object) -> tuple[int, int, Folio | None]:
            found = super()._split_all(dispose)  # type: ignore[arg-type]
            machine.exit(task)
            splice.append(folio.is_freed())
            return found

    queue = queue_of(machine)
    scanner = Going(machine)
    scanner.of_node, scanner.of_memcg = queue.of_node, queue.of_memcg
    scanner.scan_objects(ShrinkControl(0, task.memcg, 1))
    assert splice == [False]
    assert folio.is_freed()
    assert check(machine) == []


def test_a_dying_cgroups_folios_are_queued_with_the_nearest_ancestor_alive() -> None:
    """B32: dying is set a grace period before the queue moves."""
    machine = small_machine("split_queue_reparented")
    machine.huge_memory.thp.shrink_underused = False
    machine.memcg.create("/a")
    task = start(machine, path="/a/b")
    halved(machine, task, 1)
    vma = halved(machine, task, 1, 0, "late")
    job = task.memcg
    machine.move_task(task, machine.memcg.root)
    queue = machine.deferred_split
    assert isinstance(queue, SplitQueueReparented)
    folio = folio_at(vma, 0)
    machine.memory.zap(vma, 0, 1)
    references = folio.refcount
    assert folio.ref_freeze(references)
    assert queue.unqueue(folio)
    folio.ref_unfreeze(references)
    machine.memcg.kill(job)
    queue.enqueue(folio, True)
    parent = machine.memcg.by_path["/a"]
    assert queue.queue_of(parent, 0).split_queue_len == 1
    assert queue.queue_of(job, 0).split_queue_len == 1
    assert queue.scan_objects(ShrinkControl(0, job, 5)) == 1, "what the dying one has is hidden"
    machine.memcg.offline(job)
    assert queue.queue_of(parent, 0).split_queue_len == 1
    assert queue.scan_objects(ShrinkControl(0, parent, 5)) == 1
    assert queue.scan_objects(ShrinkControl(0, parent, 5)) == SHRINK_STOP


@pytest.mark.parametrize(
    "design", ["split_queue", "split_queue_reparented", "list_lru", "list_lru_v1"]
)
def test_a_watched_design_does_the_same(design: str, watched: Watcher) -> None:
    machine = small_machine(design)
    task = start(machine)
    halved(machine, task, 3)
    machine.vmscan.try_to_free_pages(0, [0])
    assert machine.vmstat.events["thp_split_page"] == 3
    halved(machine, task, 2, 1, "more")
    job = task.memcg
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    machine.exit(task)
    assert check(machine) == []


def test_version_1_sets_the_bit_of_the_cgroup_that_was_asked_for() -> None:
    """B06: the list is an ancestor's, the bit the dying cgroup's; the ancestor's reclaim never comes by."""
    for design, bit in (("list_lru", True), ("list_lru_v1", False)):
        machine = small_machine(design)
        machine.huge_memory.thp.shrink_underused = False
        machine.memcg.create("/a")
        task = start(machine, path="/a/b")
        vma = halved(machine, task, 1)
        folio = folio_at(vma, 0)
        references = folio.refcount
        assert folio.ref_freeze(references)
        assert machine.deferred_split.unqueue(folio)
        folio.ref_unfreeze(references)
        job = task.memcg
        machine.move_task(task, machine.memcg.root)
        machine.memcg.kill(job)
        parent = machine.memcg.by_path["/a"]
        machine.list_lrus.reparent(job, parent)
        machine.deferred_split.enqueue(folio, True)
        number = machine.deferred_split.id
        assert machine.shrinkers.test_shrinker_bit(parent, 0, number) is bit
        assert any("has no shrinker bit" in sentence for sentence in check(machine)) is not bit
