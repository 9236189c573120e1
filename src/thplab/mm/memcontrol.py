# SPDX-License-Identifier: GPL-2.0-only
"""Memory cgroups: the tree, references, ids, and how one goes offline (mm/memcontrol.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug, UseAfterFree
from thplab.cpu.hook import H
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import RCU_USE, WRITE
from thplab.cpu.rcu import RcuHead
from thplab.cpu.spinlock import LockClass, Mutex
from thplab.cpu.xarray import Ida
from thplab.mm.page_counter import PageCounter
from thplab.mm.shrinker_info import ShrinkerInfo

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = [
    "CSS_DYING",
    "CSS_ONLINE",
    "MEMCG_MODES",
    "MemCgroup",
    "MemCgroupPerNode",
    "MemCgroupTree",
    "ObjCgroup",
    "memcg_kmem_id",
]

CSS_ONLINE: Final[i64] = 1 << 0
CSS_DYING: Final[i64] = 1 << 1

MEMCG_MODES: Final = ("on", "nokmem", "disabled")

CGROUP_MUTEX: Final = LockClass("cgroup_mutex")


class MemCgroupPerNode:
    """struct mem_cgroup_per_node: what a cgroup has on one node, its descendants not included.

    Attributes:
        nr_anon: anonymous base pages (NR_ANON_MAPPED of the lruvec).
        nr_anon_thps: of these, in huge pages (NR_ANON_THPS).
        nr_lru: base pages on the LRU lists.
        shrinker_info: the bits and deferred counts of the memcg-aware shrinkers.
    """

    def __init__(self, info: ShrinkerInfo | None) -> None:
        self.nr_anon: i64 = 0
        self.nr_anon_thps: i64 = 0
        self.nr_lru: i64 = 0
        self.shrinker_info: ShrinkerInfo | None = info


class ObjCgroup(KernelObject):
    """struct obj_cgroup: what memory is charged through; when its cgroup goes offline it points to the parent.

    Each charge holds a reference; it holds one on its cgroup.
    """

    def __init__(self, memcg: MemCgroup) -> None:
        super().__init__(1)
        self.memcg: MemCgroup = memcg

    def __repr__(self) -> str:
        return f"objcg({self.memcg.path})"


class MemCgroup(KernelObject):
    """struct mem_cgroup. Its reference count is that of its css.

    Attributes:
        path: where it is, "/a/b"; "/" is the root.
        kmemcg_id: the index of its list_lru blocks; -1 for the root.
        ino: its inode number, by which the shrinker's debugfs files name it.
        events: memory.events. stat: the counts of events in memory.stat. Both count descendants too.
        oom_group: memory.oom.group: the OOM killer kills all of its tasks or none.
    """

    def __init__(
        self, machine: Machine, path: str, parent: MemCgroup | None, kmemcg_id: i64, ino: i64
    ) -> None:
        super().__init__(1)
        self.path: str = path
        self.parent: MemCgroup | None = parent
        self.children: list[MemCgroup] = []
        self.kmemcg_id: i64 = kmemcg_id
        self.ino: i64 = ino
        self.machine: Machine = machine
        self.memory: PageCounter = PageCounter(None if parent is None else parent.memory)
        self.nodeinfo: list[MemCgroupPerNode] = []
        self.objcg: ObjCgroup = ObjCgroup(self)
        self.objcgs: list[ObjCgroup] = [self.objcg]
        self.nr_tasks: i64 = 0
        self.events: dict[str, int] = {}
        self.stat: dict[str, int] = {}
        self.oom_group: bool = False

    def __repr__(self) -> str:
        return f"memcg {self.path}"

    # Life

    def css_is_dying(self) -> bool:
        """css_is_dying() (include/linux/cgroup.h): set a grace period before the cgroup's lists are moved."""
        return self.test_flag(CSS_DYING)

    def online(self) -> bool:
        """mem_cgroup_online() (include/linux/memcontrol.h)."""
        return self.test_flag(CSS_ONLINE)

    def css_tryget(self) -> bool:
        """css_tryget() (include/linux/cgroup_refcnt.h)."""
        return self.try_get()

    def css_put(self) -> None:
        """css_put() (include/linux/cgroup_refcnt.h): after the last reference and a grace period it is freed."""
        if self.put_testzero():
            self.machine.rcu.call(_CssFree(self))

    def is_descendant(self, root: MemCgroup) -> bool:
        """mem_cgroup_is_descendant() (include/linux/memcontrol.h): of itself too."""
        position: MemCgroup | None = self
        while position is not None:
            if position is root:
                return True
            position = position.parent
        return False


def memcg_kmem_id(memcg: MemCgroup | None) -> i64:
    """memcg_kmem_id() (include/linux/memcontrol.h): -1 for None and for the root.

    Raises:
        UseAfterFree: the cgroup was freed.
    """
    if memcg is None:
        return -1
    if H.on:
        H.watcher.point(RCU_USE, memcg)
    if memcg.is_freed():
        raise UseAfterFree(f"kmemcg_id of a freed cgroup: {memcg!r}")
    return memcg.kmemcg_id


class _CssFree(RcuHead):
    """The end of a cgroup, after a grace period."""

    def __init__(self, memcg: MemCgroup) -> None:
        self.memcg: MemCgroup = memcg

    def func(self) -> None:
        """css_free_rwork_fn() (kernel/cgroup/cgroup.c): free the id and the cgroup; drop the reference on the
        parent.
        """
        memcg = self.memcg
        memcg.machine.memcg.free(memcg)


@mypyc_attr(allow_interpreted_subclasses=True)
class MemCgroupTree:
    """All memory cgroups of a machine.

    Args:
        machine: its owner.
        mode: how the machine was booted: "on", "nokmem" (cgroup.memory=nokmem) or "disabled"
            (cgroup_disable=memory).
    """

    def __init__(self, machine: Machine, mode: str) -> None:
        if mode not in MEMCG_MODES:
            raise ValueError(f"memcg mode {mode!r} is none of {', '.join(MEMCG_MODES)}")
        self.machine: Machine = machine
        self.disabled: bool = mode == "disabled"
        self.kmem_enabled: bool = mode == "on"
        self.mutex: Mutex = Mutex(CGROUP_MUTEX)
        self.ids: Ida = Ida()
        self.by_id: list[MemCgroup | None] = []
        self.by_path: dict[str, MemCgroup] = {}
        self.next_ino: i64 = 1
        self.reparents_lru_folios: bool = True
        # The mount option memory_recursiveprot of cgroup2.
        self.recursiveprot: bool = True
        # Never online in the sense of having lists of its own: its lists are the nodes'.
        self.root: MemCgroup = MemCgroup(machine, "/", None, -1, self._new_ino())
        shrinkers = machine.shrinkers
        self.root.nodeinfo = [
            MemCgroupPerNode(shrinkers.alloc_info()) for _ in range(machine.nr_nodes)
        ]
        self.root.flags = CSS_ONLINE
        self.by_path["/"] = self.root

    def _new_ino(self) -> i64:
        ino = self.next_ino
        self.next_ino += 1
        return ino

    def create(self, path: str) -> MemCgroup:
        """mkdir(2) (fs/namei.c): in cgroupfs, with mem_cgroup_css_alloc() and mem_cgroup_css_online().

        Raises:
            KeyError: the parent does not exist.
            ValueError: the path is taken, or is not one.
        """
        if not path.startswith("/") or path == "/" or path.endswith("/"):
            raise ValueError(f"{path!r} is no cgroup path")
        if path in self.by_path:
            raise ValueError(f"cgroup {path} exists already")
        parent = self.by_path[path.rpartition("/")[0] or "/"]
        memcg_id = self.ids.alloc()
        memcg = MemCgroup(self.machine, path, parent, memcg_id, self._new_ino())
        shrinkers = self.machine.shrinkers
        memcg.nodeinfo = [
            MemCgroupPerNode(shrinkers.alloc_info()) for _ in range(self.machine.nr_nodes)
        ]
        memcg.get()  # its objcg's
        parent.get()
        parent.children.append(memcg)
        while len(self.by_id) <= memcg_id:
            self.by_id.append(None)
        self.by_id[memcg_id] = memcg
        self.by_path[path] = memcg
        memcg.set_flag(CSS_ONLINE)
        return memcg

    def from_id(self, memcg_id: i64) -> MemCgroup | None:
        """mem_cgroup_from_private_id(): under RCU."""
        return self.by_id[memcg_id] if memcg_id < len(self.by_id) else None

    def iterate(self, root: MemCgroup) -> list[MemCgroup]:
        """mem_cgroup_iter(): to its end. Online cgroups, parents before children, in the order made."""
        found = []
        pending = [root]
        while pending:
            memcg = pending.pop()
            if memcg.flags & CSS_ONLINE:
                found.append(memcg)
            pending.extend(reversed(memcg.children))
        return found

    # The end

    def kill(self, memcg: MemCgroup) -> None:
        """cgroup_destroy_locked() (kernel/cgroup/cgroup.c): the cgroup begins to die; nothing new may be made
        for it.


        Raises:
            KernelBug: it has tasks or living children (-EBUSY of rmdir(2); callers check first).
        """
        if memcg is self.root or memcg.nr_tasks:
            raise KernelBug(f"rmdir of {memcg.path}: busy")
        for child in memcg.children:
            if child.flags & CSS_ONLINE:
                raise KernelBug(f"rmdir of {memcg.path}: it has the child {child.path}")
        memcg.set_flag(CSS_DYING)
        if self.by_path.get(memcg.path) is memcg:
            del self.by_path[memcg.path]

    def rmdir(self, memcg: MemCgroup) -> None:
        """rmdir(2) (fs/namei.c): in cgroupfs. The cgroup begins to die; after a grace period it goes offline.
        Raises like :meth:`kill`.
        """
        self.mutex.lock()
        self.kill(memcg)
        self.mutex.unlock()
        self.machine.rcu.synchronize()
        self.mutex.lock()
        self.offline(memcg)
        self.mutex.unlock()
        memcg.css_put()

    def offline(self, memcg: MemCgroup) -> None:
        """mem_cgroup_css_offline(): lists first, then what is charged, then deferred counts.

        While an objcg still points to the cgroup its folios' lists must be found through it: so
        list_lrus and the queue move before the objcgs do.
        """
        parent = memcg.parent
        assert parent is not None
        memcg.clear_flag(CSS_ONLINE)
        machine = self.machine
        machine.list_lrus.reparent(memcg, parent)
        machine.deferred_split.reparent(memcg, parent)
        self._reparent_objcgs(memcg, parent)
        machine.shrinkers.reparent_deferred(memcg, parent)

    def _reparent_objcgs(self, memcg: MemCgroup, parent: MemCgroup) -> None:
        """memcg_reparent_objcgs(): and with it the LRU folios, since the dying-memcg series."""
        if not self.reparents_lru_folios:
            # Folios kept a pointer to their dead cgroup: the reference of its objcg stays until the last is gone.
            self.put_objcg(memcg.objcg)
            return
        objcgs = memcg.objcgs
        memcg.objcgs = []
        for objcg in objcgs:
            parent.get()
            if H.on:
                H.watcher.point(WRITE, objcg)
            objcg.memcg = parent
            parent.objcgs.append(objcg)
        for source, target in zip(memcg.nodeinfo, parent.nodeinfo, strict=True):
            target.nr_anon += source.nr_anon
            target.nr_anon_thps += source.nr_anon_thps
            target.nr_lru += source.nr_lru
            source.nr_anon = 0
            source.nr_anon_thps = 0
            source.nr_lru = 0
        # What was charged is the parent's now; the parent's own counter has it already.
        memcg.memory.usage = 0
        for _ in objcgs:
            memcg.css_put()
        self.put_objcg(memcg.objcg)

    def put_objcg(self, objcg: ObjCgroup) -> None:
        """obj_cgroup_put() (include/linux/memcontrol.h): the last one lets go of the cgroup."""
        if objcg.put_testzero():
            memcg = objcg.memcg
            memcg.objcgs.remove(objcg)
            memcg.css_put()

    def free(self, memcg: MemCgroup) -> None:
        """mem_cgroup_css_free()."""
        parent = memcg.parent
        assert parent is not None
        parent.children.remove(memcg)
        parent.memory.children.remove(memcg.memory)
        self.by_id[memcg.kmemcg_id] = None
        self.ids.free(memcg.kmemcg_id)
        memcg.poison()
        parent.css_put()
