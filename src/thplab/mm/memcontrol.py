# SPDX-License-Identifier: GPL-2.0-only
"""Memory cgroups: the tree, references, ids, and how one goes offline (mm/memcontrol.c, 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug, UseAfterFree
from thplab.cpu.hook import H
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import RCU_USE
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
        path, nid: of which cgroup and node.
        nr_anon: anonymous base pages (NR_ANON_MAPPED of the lruvec).
        nr_anon_thps: of these, in huge pages (NR_ANON_THPS).
        nr_lru: base pages on the LRU lists.
        shrinker_info: the bits and deferred counts of the memcg-aware shrinkers.
        objcg: through which memory of this node is charged; None once it has moved to the parent.
        objcgs: the objcgs of this node that point to the cgroup: its own, and those of offline
            descendants (objcg_list).
    """

    def __init__(self, path: str, nid: i64, info: ShrinkerInfo | None) -> None:
        self.path: str = path
        self.nid: i64 = nid
        self.nr_anon: i64 = 0
        self.nr_anon_thps: i64 = 0
        self.nr_lru: i64 = 0
        self.shrinker_info: ShrinkerInfo | None = info
        self.objcg: ObjCgroup | None = None
        self.objcgs: dict[ObjCgroup, None] = {}

    def __repr__(self) -> str:
        return f"memcg {self.path} node {self.nid}"


class ObjCgroup(KernelObject):
    """struct obj_cgroup: what memory of one node is charged through; when its cgroup goes offline it points to
    the parent. Each charge holds a reference.

    Until 7.0 a folio points to its cgroup itself, and keeps it from being freed. For that, an objcg that pins
    its cgroup and never moves stands here.

    Attributes:
        nid: the node.
        is_root: it was made for the root, so the page counters do not count what is charged through it.
        pins_memcg: it holds a reference on its cgroup (until 7.0).
    """

    def __init__(self, memcg: MemCgroup, nid: i64, is_root: bool, pins_memcg: bool) -> None:
        super().__init__(1)
        self.memcg: MemCgroup = memcg
        self.nid: i64 = nid
        self.is_root: bool = is_root
        self.pins_memcg: bool = pins_memcg

    def __repr__(self) -> str:
        return f"objcg {self.memcg.path} node {self.nid}"


class MemCgroup(KernelObject):
    """struct mem_cgroup. Its reference count is that of its css.

    Attributes:
        path: where it is, "/a/b"; "/" is the root.
        kmemcg_id: the index of its list_lru blocks; -1 for the root.
        ino: its inode number, by which the shrinker's debugfs files name it.
        events: memory.events. stat: the counts of events in memory.stat. Both count descendants too.
        oom_group: memory.oom.group: the OOM killer kills all of its tasks or none.
        online_cnt: itself while it is online, and the children that are; it goes offline after them.
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
        self.online_cnt: i64 = 1
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
        # The mount option memory_recursiveprot of cgroup2.
        self.recursiveprot: bool = True
        # Never online in the sense of having lists of its own: its lists are the nodes'.
        self.root: MemCgroup = MemCgroup(machine, "/", None, -1, self._new_ino())
        shrinkers = machine.shrinkers
        self.root.nodeinfo = [
            MemCgroupPerNode("/", nid, shrinkers.alloc_info()) for nid in range(machine.nr_nodes)
        ]
        machine.objcgs.online(self.root)
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
            MemCgroupPerNode(path, nid, shrinkers.alloc_info())
            for nid in range(self.machine.nr_nodes)
        ]
        self.machine.objcgs.online(memcg)
        memcg.get()  # that of its id, which it gives back at the end of mem_cgroup_css_offline()
        parent.get()
        parent.online_cnt += 1
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
        """mem_cgroup_iter(): to its end. Parents before children, in the order made, the offline ones that
        somebody still refers to as well.
        """
        found = []
        pending = [root]
        while pending:
            memcg = pending.pop()
            found.append(memcg)
            pending.extend(reversed(memcg.children))
        return found

    def next_tryget(self, memcg: MemCgroup) -> bool:
        """Part of mem_cgroup_iter(): a reference on the next cgroup, which may have gone since the walk began."""
        rcu = self.machine.rcu
        rcu.read_lock()
        got = not memcg.is_freed() and memcg.css_tryget()
        rcu.read_unlock()
        return got

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
            if not child.flags & CSS_DYING:
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
        self.css_killed(memcg)

    def css_killed(self, memcg: MemCgroup) -> None:
        """css_killed_work_fn() (kernel/cgroup/cgroup.c): the cgroup goes offline unless a child is online
        still; so do the ancestors that waited for that.
        """
        self.mutex.lock()
        position: MemCgroup | None = memcg
        while position is not None:
            position.online_cnt -= 1
            if position.online_cnt:
                break
            self.offline(position)
            position.css_put()
            position = position.parent
        self.mutex.unlock()

    def offline(self, memcg: MemCgroup) -> None:
        """offline_css() (kernel/cgroup/cgroup.c): CSS_ONLINE goes last, so that reclaim can meet a cgroup that
        has moved in part.
        """
        self._css_offline(memcg)
        memcg.clear_flag(CSS_ONLINE)

    def _css_offline(self, memcg: MemCgroup) -> None:
        """mem_cgroup_css_offline(): protection ends; then lists, what is charged, and deferred counts move.

        While an objcg still points to the cgroup its folios' lists must be found through it: so
        list_lrus and the queue move before the objcgs do.
        """
        parent = memcg.parent
        assert parent is not None
        memcg.memory.min = 0
        memcg.memory.low = 0
        machine = self.machine
        machine.list_lrus.reparent(memcg, parent)
        machine.deferred_split.reparent(memcg, parent)
        machine.objcgs.reparent(memcg, parent)
        machine.shrinkers.reparent_deferred(memcg, parent)
        memcg.css_put()  # mem_cgroup_private_id_put()

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
