# SPDX-License-Identifier: GPL-2.0-only
"""Object cgroups: through what memory is charged, and how that moves when a cgroup goes offline (mm/memcontrol.c, 7.3).

A cgroup has one for each node. A dying cgroup's move to the parent node by node, and with each the LRU lists of
its node, so for a while some of its folios are the parent's and others are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.ops import READ, WRITE
from thplab.cpu.spinlock import LockClass, SpinLock
from thplab.mm.memcontrol import MemCgroup, MemCgroupPerNode, ObjCgroup
from thplab.mm.mm_types import obj_cgroup_memcg

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["ObjCgroups"]

OBJCG_LOCK: Final = LockClass("objcg_lock")


class ObjCgroups:
    """All object cgroups of a machine.

    Attributes:
        reparents_lru_folios: when a cgroup goes offline, its folios become the parent's (7.1).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.lock: SpinLock = SpinLock(OBJCG_LOCK)
        self.reparents_lru_folios: bool = True

    def lru_folios_move(self) -> bool:
        """Whether an offline cgroup's folios become the parent's: in this release, and with this queue."""
        return self.reparents_lru_folios and self.machine.deferred_split.reparents_lru_folios

    def online(self, memcg: MemCgroup) -> None:
        """Part of mem_cgroup_css_online(): an objcg for each node."""
        for nid in range(self.machine.nr_nodes):
            self._alloc(memcg, nid)

    def _alloc(self, memcg: MemCgroup, nid: i64) -> ObjCgroup:
        """obj_cgroup_alloc(): with one reference."""
        is_root = memcg.parent is None
        objcg = ObjCgroup(memcg, nid, is_root, not is_root and not self.lru_folios_move())
        if objcg.pins_memcg:
            memcg.get()
        pernode = memcg.nodeinfo[nid]
        pernode.objcg = objcg
        pernode.objcgs[objcg] = None
        return objcg

    def get(self, memcg: MemCgroup, nid: i64) -> ObjCgroup:
        """get_obj_cgroup_from_memcg(): for memory of a node, with a reference; of the nearest ancestor whose objcg of
        that node has not moved. The caller keeps the cgroup from being freed.
        """
        # Each charge comes here, and only the explorer sees the read section.
        if H.on:
            self.machine.rcu.read_lock()
        while True:
            pernode = memcg.nodeinfo[nid]
            if H.on:
                H.watcher.point(READ, pernode)
            objcg = pernode.objcg
            if objcg is not None and objcg.try_get():
                break
            if not self.lru_folios_move():
                # A folio can be charged to a dead cgroup.
                objcg = self._alloc(memcg, nid)
                break
            parent = memcg.parent
            assert parent is not None, "the root never goes offline"
            memcg = parent
        if H.on:
            self.machine.rcu.read_unlock()
        return objcg

    def get_for_migration(self, objcg: ObjCgroup, nid: i64) -> ObjCgroup:
        """get_migration_objcg(): what memory that moves to a node is charged through there, with a reference."""
        if objcg.nid == nid or not self.lru_folios_move():
            objcg.get()
            return objcg
        rcu = self.machine.rcu
        rcu.read_lock()
        found = self.get(obj_cgroup_memcg(objcg), nid)
        rcu.read_unlock()
        return found

    def put(self, objcg: ObjCgroup) -> None:
        """obj_cgroup_put() (include/linux/memcontrol.h): after the last one nobody knows it any more."""
        if objcg.put_testzero():
            self.lock.lock_irqsave()
            memcg = objcg.memcg
            del memcg.nodeinfo[objcg.nid].objcgs[objcg]
            self.lock.unlock_irqrestore()
            if objcg.pins_memcg:
                memcg.css_put()

    def reparent(self, memcg: MemCgroup, parent: MemCgroup) -> None:
        """memcg_reparent_objcgs(): node by node, and with a node's objcgs its LRU folios.

        The page counters stay: the parent's has counted it all along, and the cgroup's own is of no use any more.
        """
        moves = self.lru_folios_move()
        for nid in range(self.machine.nr_nodes):
            source = memcg.nodeinfo[nid]
            own = source.objcg
            assert own is not None, "a cgroup goes offline once"
            if moves:
                self._reparent_node(source, parent, parent.nodeinfo[nid])
            self.put(own)

    def _reparent_node(
        self, source: MemCgroupPerNode, parent: MemCgroup, target: MemCgroupPerNode
    ) -> None:
        """__memcg_reparent_objcgs(): of one node; lru_reparent_memcg() of mm/folio.c is a part of it."""
        self.lock.lock_irq()
        if H.on:
            H.watcher.point(WRITE, source)
        source.objcg = None
        for objcg in source.objcgs:
            if H.on:
                H.watcher.point(WRITE, objcg)
            objcg.memcg = parent
        target.objcgs.update(source.objcgs)
        source.objcgs = {}
        # Last, because a folio is counted where it was until its objcg has moved.
        target.nr_anon += source.nr_anon
        target.nr_anon_thps += source.nr_anon_thps
        target.nr_lru += source.nr_lru
        source.nr_anon = 0
        source.nr_anon_thps = 0
        source.nr_lru = 0
        self.lock.unlock_irq()
