# SPDX-License-Identifier: GPL-2.0-only
"""Memory cgroups: the tree, references, ids, and the order in which one goes offline."""

from __future__ import annotations

import pytest

from tests.mm.small import cgroup, halved, small_machine, start, touched
from thplab.cpu.errors import KernelBug, UseAfterFree
from thplab.cpu.hook import Watcher, attach, detach
from thplab.designs.list_lru import ListLruQueue
from thplab.designs.split_queue import SplitQueue
from thplab.mm.gfp import GFP_KERNEL
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup, ObjCgroup, memcg_kmem_id
from thplab.mm.mm_types import Folio, Task, folio_memcg


def paths(machine: Machine, root: str = "/") -> list[str]:
    """What reclaim of the cgroup goes through."""
    return [memcg.path for memcg in machine.memcg.iterate(machine.memcg.by_path[root])]


def objcg_of(memcg: MemCgroup, nid: int = 0) -> ObjCgroup:
    """What memory of the node is charged through."""
    objcg = memcg.nodeinfo[nid].objcg
    assert objcg is not None
    return objcg


# The tree


def test_the_walk_visits_parents_before_children_in_the_order_made() -> None:
    machine = small_machine(None)
    for path in ("/b", "/a", "/b/x", "/a/y", "/b/w", "/b/x/deep"):
        cgroup(machine, path)
    assert paths(machine) == ["/", "/b", "/b/x", "/b/x/deep", "/b/w", "/a", "/a/y"]
    assert paths(machine, "/b") == ["/b", "/b/x", "/b/x/deep", "/b/w"]


@pytest.mark.parametrize("path", ["job", "/", "/job/", ""])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no cgroup path"):
        small_machine(None).memcg.create(path)


def test_a_path_is_made_once_and_below_a_parent() -> None:
    machine = small_machine(None)
    cgroup(machine, "/a")
    with pytest.raises(ValueError, match="exists already"):
        cgroup(machine, "/a")
    with pytest.raises(KeyError):
        cgroup(machine, "/nobody/b")


def test_descendants_are_those_below_and_oneself() -> None:
    machine = small_machine(None)
    a, b, other = (cgroup(machine, path) for path in ("/a", "/a/b", "/other"))
    assert b.is_descendant(a)
    assert a.is_descendant(a)
    assert not a.is_descendant(b)
    assert not b.is_descendant(other)
    assert b.is_descendant(machine.memcg.root)


def test_ids_are_small_and_the_root_has_none() -> None:
    machine = small_machine(None)
    assert memcg_kmem_id(None) == memcg_kmem_id(machine.memcg.root) == -1
    assert [cgroup(machine, path).kmemcg_id for path in ("/a", "/b")] == [0, 1]
    assert machine.memcg.from_id(1) is machine.memcg.by_path["/b"]
    assert machine.memcg.from_id(7) is None


def test_a_boot_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="memcg mode 'off' is none of on, nokmem, disabled"):
        small_machine(None, memcg="off")


@pytest.mark.parametrize(
    ("mode", "disabled", "kmem"),
    [("on", False, True), ("nokmem", False, False), ("disabled", True, False)],
)
def test_the_boot_modes(mode: str, disabled: bool, kmem: bool) -> None:
    tree = small_machine(None, memcg=mode).memcg
    assert (tree.disabled, tree.kmem_enabled) == (disabled, kmem)


# rmdir


def test_a_removed_cgroup_leaves_nothing_behind(machine: Machine) -> None:
    child = machine.memcg.create(cgroup(machine, "/a").path + "/b")
    inode = child.ino
    machine.memcg.rmdir(child)
    assert paths(machine) == ["/", "/a"]
    assert child.is_freed()
    assert machine.memcg.from_id(1) is None
    again = cgroup(machine, "/a/b")
    assert again.kmemcg_id == 1
    assert again.ino > inode


def test_a_cgroup_with_tasks_or_living_children_is_busy(machine: Machine) -> None:
    task = start(machine, path="/a")
    parent = task.memcg
    with pytest.raises(KernelBug, match="rmdir of /a: busy"):
        machine.memcg.kill(parent)
    machine.exit(task)
    child = cgroup(machine, "/a/b")
    with pytest.raises(KernelBug, match="rmdir of /a: it has the child /a/b"):
        machine.memcg.kill(parent)
    with pytest.raises(KernelBug, match="rmdir of /: busy"):
        machine.memcg.kill(machine.memcg.root)
    machine.memcg.rmdir(child)
    machine.memcg.rmdir(parent)
    assert paths(machine) == ["/"]


def test_dying_is_seen_a_grace_period_before_the_lists_go(machine: Machine) -> None:
    job = cgroup(machine)
    states: list[tuple[bool, bool]] = []

    class Order(SplitQueue):
        """Notes the state in which it is reparented."""

        def reparent(self, memcg: MemCgroup, parent: MemCgroup) -> None:
            states.append((memcg.css_is_dying(), memcg.online()))

    machine.deferred_split = Order(machine)
    machine.memcg.rmdir(job)
    assert states == [(True, True)]
    assert not job.online()


def test_lists_move_before_what_is_charged_does() -> None:
    """While an objcg points to the cgroup its folios' lists are found through it."""
    order: list[str] = []

    class Recording(ListLruQueue):
        """Notes what has moved already."""

        def reparent(self, memcg: MemCgroup, parent: MemCgroup) -> None:
            lists = self.the_lru().count_one(0, parent)
            info = parent.nodeinfo[0].shrinker_info
            assert info is not None
            order.append(
                f"lists of the parent: {lists}, objcg is {objcg_of(memcg).memcg.path}'s, "
                f"deferred {info.unit[0].nr_deferred[self.id]}"
            )

    machine = Machine([128 << 20] * 2, Recording)
    task = start(machine, path="/a")
    halved(machine, task, 3)
    job = task.memcg
    machine.shrinkers.shrink_slab(0, job, 1)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    assert order == ["lists of the parent: 3, objcg is /a's, deferred 0"]
    info = machine.memcg.root.nodeinfo[0].shrinker_info
    assert info is not None
    assert info.unit[0].nr_deferred[machine.deferred_split.id] == 2
    assert check(machine) == []


def test_memory_of_a_removed_cgroup_is_its_parents(machine: Machine) -> None:
    cgroup(machine, "/a")
    task = start(machine, path="/a/b")
    job = task.memcg
    vma = halved(machine, task, 2, 1)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    above = machine.memcg.by_path["/a"]
    assert job.is_freed()
    folio = vma.slots[0].owner  # type: ignore[union-attr]
    assert isinstance(folio, Folio)
    machine.rcu.read_lock()
    assert folio_memcg(folio) is above
    machine.rcu.read_unlock()
    assert above.memory.usage == 1024
    assert [pernode.nr_anon for pernode in above.nodeinfo] == [0, 512]
    assert check(machine) == []
    machine.exit(task)
    assert above.memory.usage == 0
    machine.memcg.rmdir(above)
    assert machine.memcg.root.refcount == 1


def test_reparenting_goes_through_generations(machine: Machine) -> None:
    """What was charged to a child of a child is the grandparent's at last."""
    cgroup(machine, "/a")
    task = start(machine, path="/a/b")
    touched(machine, task, 1)
    machine.move_task(task, machine.memcg.root)
    for path in ("/a/b", "/a"):
        machine.memcg.rmdir(machine.memcg.by_path[path])
        assert check(machine) == []
    assert paths(machine) == ["/"]
    assert machine.memcg.root.nodeinfo[0].nr_anon == 512
    assert len(machine.memcg.root.nodeinfo[0].objcgs) == 2
    machine.exit(task)
    assert len(machine.memcg.root.nodeinfo[0].objcgs) == 1


def test_without_reparenting_a_removed_cgroup_lives_as_long_as_its_memory() -> None:
    """Until 7.0: a zombie."""
    machine = small_machine("split_queue")
    task = start(machine)
    job = task.memcg
    touched(machine, task, 1)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    assert not job.online()
    assert not job.is_freed()
    assert job.memory.usage == 512
    assert paths(machine) == ["/", "/job"]
    assert cgroup(machine).kmemcg_id != job.kmemcg_id
    assert check(machine) == []
    machine.exit(task)
    assert job.is_freed()
    assert check(machine) == []


def test_a_new_cgroup_may_take_the_path_of_a_zombie() -> None:
    machine = small_machine("split_queue_reparented")
    machine.objcgs.reparents_lru_folios = False
    task = start(machine)
    old = task.memcg
    touched(machine, task, 1)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(old)
    new = cgroup(machine)
    assert machine.memcg.by_path["/job"] is new
    machine.exit(task)
    assert machine.memcg.by_path["/job"] is new


# References


def test_a_cgroup_is_freed_with_its_last_reference_and_a_grace_period(machine: Machine) -> None:
    job = cgroup(machine)
    assert job.css_tryget()
    machine.memcg.rmdir(job)
    assert not job.is_freed()
    machine.rcu.read_lock()
    job.css_put()
    assert not job.css_tryget()
    assert not job.is_freed()
    machine.rcu.read_unlock()
    assert job.is_freed()
    with pytest.raises(UseAfterFree):
        memcg_kmem_id(job)


def test_a_folios_cgroup_can_be_pinned(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1)
    folio = vma.slots[0]
    assert isinstance(folio, Folio)
    refs = task.memcg.refcount
    pinned = machine.charges.get_mem_cgroup_from_folio(folio)
    assert pinned is task.memcg
    assert pinned.refcount == refs + 1
    pinned.css_put()
    nobody = Folio(9, 0)
    assert machine.charges.get_mem_cgroup_from_folio(nobody) is machine.memcg.root
    machine.memcg.root.css_put()


def test_pinning_tries_again_when_the_cgroup_went_meanwhile() -> None:
    """The objcg points to the parent by then."""
    machine = small_machine()
    job = cgroup(machine)
    folio = Folio(9, 0)
    assert machine.charges.charge_folio(folio, job, GFP_KERNEL, None)
    objcg = folio.objcg
    assert objcg is not None
    frozen = job.refcount
    assert job.ref_freeze(frozen)

    class Moving(Watcher):
        """The reparenting comes between the first attempt and the second."""

        attempts = 0

        def point(self, op: int, obj: object) -> None:
            if isinstance(obj, ObjCgroup):
                self.attempts += 1
                if self.attempts == 2:
                    obj.memcg = machine.memcg.root

    attach(Moving())
    pinned = machine.charges.get_mem_cgroup_from_folio(folio)
    detach()
    assert pinned is machine.memcg.root


def test_reading_a_folios_cgroup_outside_rcu_is_complained_about(
    warnings_of: dict[str, int],
) -> None:
    """B01."""
    assert folio_memcg(Folio(9, 0)) is None
    assert list(warnings_of) == [
        "WARNING: suspicious RCU usage: folio_memcg() outside an RCU read section"
    ]


def test_objects_say_what_they_are() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    assert repr(job) == "memcg /job"
    assert repr(objcg_of(job, 1)) == "objcg /job node 1"


def test_a_watched_tree_does_the_same(watched: Watcher, machine: Machine, task: Task) -> None:
    job = task.memcg
    halved(machine, task, 2)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    assert check(machine) == []
    machine.exit(task)
