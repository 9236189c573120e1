# SPDX-License-Identifier: GPL-2.0-only
"""How a cgroup goes offline: node by node, after its children, and without protection."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    HUGE,
    cgroup,
    event,
    folio_at,
    halved,
    mmap,
    small_machine,
    start,
    touched,
)
from thplab.cpu.hook import Watcher, attach, detach
from thplab.cpu.ops import REF_PUT
from thplab.mm.gfp import GFP_KERNEL
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup, ObjCgroup
from thplab.mm.mm_types import Folio, Task, Vma
from thplab.mm.vmscan import ScanControl
from thplab.releases.release import Release


class BetweenNodes(Watcher):
    """Does something when the objcg of node 0 has moved, and that of node 1 has not."""

    def __init__(self, machine: Machine, memcg: MemCgroup) -> None:
        self.machine = machine
        self.memcg = memcg
        self.mine = memcg.nodeinfo[0].objcg
        self.calls = 0

    def point(self, op: int, obj: object) -> None:
        """percpu_ref_kill() of the objcg of node 0: no lock is held."""
        if op == REF_PUT and obj is self.mine and not self.calls:
            self.calls += 1
            detach()
            self.between()
            attach(self)

    def between(self) -> None:
        """What comes in between."""


def remove(machine: Machine, task: Task, watcher: BetweenNodes) -> None:
    """rmdir under the eyes of the watcher."""
    job = task.memcg
    machine.move_task(task, machine.memcg.root)
    attach(watcher)
    machine.memcg.rmdir(job)
    detach()
    assert watcher.calls == 1


def owner(machine: Machine, folio: Folio) -> str:
    """Whose it is now."""
    memcg = machine.charges.get_mem_cgroup_from_folio(folio)
    memcg.css_put()
    return memcg.path


def paths_of(machine: Machine, vmas: list[Vma]) -> list[str]:
    return [owner(machine, folio_at(vma, 0)) for vma in vmas]


@pytest.mark.parametrize("design", ["split_queue_reparented", "list_lru"])
def test_between_two_nodes_a_cgroup_has_moved_on_one_alone(design: str) -> None:
    """Charges, and huge pages that are queued or move just then, belong where their own node says."""
    machine = small_machine(design)
    task = start(machine)
    job = task.memcg
    vmas = [touched(machine, task, 1, node, f"on node {node}") for node in (0, 1)]
    moving = [halved(machine, task, 1, node, f"leaves node {node}") for node in (0, 1)]
    charged: list[Folio] = []
    seen: list[object] = []

    class Check(BetweenNodes):
        def between(self) -> None:
            seen.append(paths_of(self.machine, vmas))
            seen.append((job.online(), job.css_is_dying()))
            seen.append([pernode.nr_anon for pernode in job.nodeinfo])
            for vma in vmas:
                self.machine.memory.zap(vma, 0, 1)
            for nid, vma in enumerate(moving):
                self.machine.migration.move_slot(vma, 0, 1, 1 - nid)
            seen.append(paths_of(self.machine, moving))
            for nid in (0, 1):
                folio = Folio(9, nid)
                assert self.machine.charges.charge_folio(folio, job, GFP_KERNEL, None)
                charged.append(folio)
            seen.append([owner(self.machine, folio) for folio in charged])
            assert all(f.objcg is not None and f.objcg.nid == f.nid for f in charged)

    machine.migration.splits_queued = False
    remove(machine, task, Check(machine, job))
    assert seen == [["/", "/job"], (True, True), [0, 768], ["/", "/"], ["/", "/job"]]
    assert paths_of(machine, [*vmas, *moving]) == ["/"] * 4
    for folio in charged:
        machine.charges.uncharge_folio(folio)
    assert check(machine) == []
    # What was charged through the root's own objcg, or moved to it, is not counted.
    assert machine.memcg.root.memory.usage == 2 * HUGE
    machine.exit(task)
    assert machine.memcg.root.memory.usage == 0
    assert check(machine) == []


def test_base_pages_that_move_in_between_belong_where_their_new_node_says() -> None:
    machine = small_machine()
    cgroup(machine, "/a")
    task = start(machine, path="/a/b")
    above, job = machine.memcg.by_path["/a"], task.memcg
    seen: list[list[int]] = []
    vmas = [mmap(machine, task, 1, node, f"node {node}", "nohugepage") for node in (0, 1)]
    for vma in vmas:
        machine.memory.touch(task, vma, 0, 0b111, False)

    class Move(BetweenNodes):
        def between(self) -> None:
            for nid, vma in enumerate(vmas):
                self.machine.migration.move_slot(vma, 0, 0b111, 1 - nid)
            seen.extend(
                [int(pernode.nr_lru) for pernode in memcg.nodeinfo] for memcg in (above, job)
            )

    remove(machine, task, Move(machine, job))
    assert seen == [[3, 3], [0, 0]]
    assert above.memory.usage == 6
    assert check(machine) == []


def test_until_7_0_a_folio_stays_with_its_cgroup_whatever_node_it_moves_to() -> None:
    machine = small_machine("split_queue")
    task = start(machine)
    job = task.memcg
    vma = touched(machine, task, 1)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    machine.migration.move_slot(vma, 0, 1, 1)
    assert folio_at(vma, 0).nid == 1
    assert owner(machine, folio_at(vma, 0)) == "/job"
    # Who still charges to it finds it: there is no parent to walk to.
    late = Folio(9, 1)
    assert machine.charges.charge_folio(late, job, GFP_KERNEL, None)
    assert owner(machine, late) == "/job"
    machine.exit(task)
    assert not job.is_freed()
    machine.charges.uncharge_folio(late)
    assert job.is_freed()
    assert check(machine) == []


def test_a_dead_cgroup_protects_nothing() -> None:
    """In split_queue it lives on with its memory, and must not take a share of its parent's memory.low."""
    machine = small_machine("split_queue")
    parent = cgroup(machine, "/p")
    tasks = [start(machine, name, f"/p/{name}") for name in ("dead", "alive")]
    for task in tasks:
        halved(machine, task, 4)
        task.memcg.memory.low = task.memcg.memory.usage
    parent.memory.low = tasks[1].memcg.memory.usage
    dead, alive = (task.memcg for task in tasks)

    def spared() -> bool:
        sc = ScanControl(None, 32)
        machine.vmscan.protected(parent, machine.memcg.root, sc)
        return machine.vmscan.protected(alive, machine.memcg.root, sc)

    assert not spared()
    machine.move_task(tasks[0], machine.memcg.root)
    dead.memory.min = 7
    machine.memcg.rmdir(dead)
    assert not dead.is_freed()
    assert (dead.memory.min, dead.memory.low) == (0, 0)
    assert spared()


def test_a_parent_goes_offline_after_its_children() -> None:
    """Its rmdir may overtake that of a child, which is dying already."""
    machine = small_machine()
    parent = cgroup(machine, "/a")
    child = cgroup(machine, "/a/b")
    for memcg in (parent, child):
        memcg.get()
    machine.memcg.kill(child)
    machine.memcg.rmdir(parent)
    assert (parent.css_is_dying(), parent.online(), child.online()) == (True, True, True)
    machine.memcg.css_killed(child)
    assert (parent.online(), child.online()) == (False, False)
    for memcg in (child, parent):
        assert not memcg.is_freed()
        memcg.css_put()
        assert memcg.is_freed()
    assert check(machine) == []


@pytest.mark.parametrize("nid", [0, 1])
def test_the_last_charge_of_a_removed_cgroup_forgets_its_objcg(nid: int) -> None:
    machine = small_machine()
    task = start(machine)
    vma = touched(machine, task, 1, nid)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(machine.memcg.by_path["/job"])
    known: list[dict[ObjCgroup, None]] = [p.objcgs for p in machine.memcg.root.nodeinfo]
    assert [len(objcgs) for objcgs in known] == [1 + (node == nid) for node in (0, 1)]
    machine.memory.unmap_vma(vma)
    assert [len(objcgs) for objcgs in known] == [1, 1]


@pytest.mark.parametrize(("stops", "split"), [(True, 0), (False, 2)])
@pytest.mark.parametrize("file", ["memory.reclaim", "memory.high", "memory.max"])
def test_a_writer_gives_up_for_a_dying_cgroup(file: str, stops: bool, split: int) -> None:
    """Since 7.3: rmdir waits for it."""
    machine = small_machine()
    machine.vmscan.stops_for_dying = stops
    task = start(machine)
    job = task.memcg
    halved(machine, task, 2)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.kill(job)
    if file == "memory.reclaim":
        assert not machine.vmscan.memory_reclaim(job, HUGE)
    elif file == "memory.high":
        machine.charges.memory_high_write(job, 0)
    else:
        machine.charges.memory_max_write(job, 0)
    assert event(machine, "thp_split_page") == split


@pytest.mark.parametrize(
    ("version", "design", "path"),
    [
        ("6.12", "split_queue", "/job"),
        ("7.0", "split_queue_reparented", "/job"),
        ("7.1", "split_queue_reparented", "/"),
        ("7.3", "list_lru", "/"),
        # No kernel: a queue that stays behind cannot do with folios that go.
        ("7.3", "split_queue", "/job"),
    ],
)
def test_since_7_1_what_a_removed_cgroup_had_is_its_parents(
    version: str, design: str, path: str
) -> None:
    machine = small_machine(design)
    Release.of_version(version, design).apply(machine)
    task = start(machine)
    vma = halved(machine, task, 1)
    job = task.memcg
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    assert owner(machine, folio_at(vma, 0)) == path
    assert job.is_freed() is (path == "/")
    assert check(machine) == []
    machine.exit(task)
    assert job.is_freed()
    assert check(machine) == []
