# SPDX-License-Identifier: GPL-2.0-only
"""list_lru: one list for each pair of node and memory cgroup (mm/list_lru.c, 7.2).

A memcg-aware list_lru makes the lists of a cgroup when the first object of interest is allocated
for it, for all nodes at once and for its ancestors too. When the cgroup goes offline they are
spliced into the parent's, and marked dead.

>>> from thplab.cpu.list_head import ListHead
>>> from thplab.mm.machine import Machine
>>> machine = Machine([1 << 30, 1 << 30])
>>> lru = ListLru(machine, memcg_aware=False)
>>> item = ListHead()
>>> lru.add(item, nid=1, memcg=None)
True
>>> lru.count_node(0), lru.count_node(1)
(0, 1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug, NullDereference
from thplab.cpu.hook import H, warn_once
from thplab.cpu.list_head import (
    ListHead,
    list_move_tail,
    list_release,
    list_splice,
)
from thplab.cpu.ops import READ
from thplab.cpu.spinlock import IRQ, PLAIN, LockClass, Mutex
from thplab.mm.list_lru_lock import ListLruLocking
from thplab.mm.list_lru_one import (
    DEAD,
    LRU_REMOVED,
    LRU_REMOVED_RETRY,
    LRU_RETRY,
    LRU_ROTATE,
    LRU_SKIP,
    LRU_STOP,
    Isolate,
    ListLruMemcg,
    ListLruOne,
    list_lru_isolate,
    list_lru_isolate_move,
)
from thplab.mm.memcontrol import MemCgroup, memcg_kmem_id
from thplab.mm.mm_types import Folio, folio_memcg
from thplab.mm.shrink_control import ShrinkControl, Shrinker

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = [
    "DEAD",
    "LRU_REMOVED",
    "LRU_REMOVED_RETRY",
    "LRU_RETRY",
    "LRU_ROTATE",
    "LRU_SKIP",
    "LRU_STOP",
    "Isolate",
    "ListLru",
    "ListLruMemcg",
    "ListLruOne",
    "ListLrus",
    "list_lru_isolate",
    "list_lru_isolate_move",
]

LIST_LRUS_MUTEX: Final = LockClass("list_lrus_mutex")


@mypyc_attr(allow_interpreted_subclasses=True)
class ListLru(ListLruLocking):
    """struct list_lru. Arguments as for :class:`ListLruLocking`."""

    def __init__(
        self,
        machine: Machine,
        memcg_aware: bool = False,
        shrinker: Shrinker | None = None,
        key: LockClass | None = None,
    ) -> None:
        super().__init__(machine, memcg_aware, shrinker, key)
        if self.memcg_aware:
            machine.list_lrus.register(self)

    def destroy(self) -> None:
        """list_lru_destroy(): no CPU may use it any more. A second call is harmless."""
        if self.destroyed:
            return
        self.destroyed = True
        if self.memcg_aware:
            self.machine.list_lrus.unregister(self)
        self.release()
        self.node = []
        self.xa.slots = []

    def release(self) -> None:
        """Unlink everything without any check, and forget the owners, which the collector cannot see from here."""
        for one in self.sublists():
            list_release(one)
            one.memcg = None

    # Adding and removing

    def add(self, item: ListHead, nid: i64, memcg: MemCgroup | None) -> bool:
        """list_lru_add(): to the tail of (nid, memcg). False if it is on a list already."""
        return self._add(item, nid, memcg, PLAIN)

    def add_irq(self, item: ListHead, nid: i64, memcg: MemCgroup | None) -> bool:
        """list_lru_add_irq()."""
        return self._add(item, nid, memcg, IRQ)

    def _add(self, item: ListHead, nid: i64, memcg: MemCgroup | None, mode: i64) -> bool:
        l, owner = self._lock(nid, memcg, mode)
        added = self.add_locked(l, item, nid, owner)
        l.lock.release(mode)
        return added

    def delete(self, item: ListHead, nid: i64, memcg: MemCgroup | None) -> bool:
        """list_lru_del(): False if it is on no list."""
        l, _ = self._lock(nid, memcg, PLAIN)
        deleted = self.del_locked(l, item, nid)
        l.lock.release(PLAIN)
        return deleted

    def add_obj(self, folio: Folio) -> bool:
        """list_lru_add_obj(): node and cgroup are the object's own; the lookup is under RCU."""
        rcu = self.machine.rcu
        rcu.read_lock()
        memcg = folio_memcg(folio) if self.memcg_aware else None
        added = self._add(folio, folio.nid, memcg, PLAIN)
        rcu.read_unlock()
        return added

    def del_obj(self, folio: Folio) -> bool:
        """list_lru_del_obj()."""
        rcu = self.machine.rcu
        rcu.read_lock()
        memcg = folio_memcg(folio) if self.memcg_aware else None
        deleted = self.delete(folio, folio.nid, memcg)
        rcu.read_unlock()
        return deleted

    # Counting

    def count_one(self, nid: i64, memcg: MemCgroup | None) -> i64:
        """list_lru_count_one(): entries of (nid, memcg); 0 if there is no list, or a dead one."""
        rcu = self.machine.rcu
        rcu.read_lock()
        l = self.from_memcg_idx(nid, memcg_kmem_id(memcg))
        count: i64 = 0
        if l is not None:
            if H.on:
                H.watcher.point(READ, l)
            count = l.nr_items
        rcu.read_unlock()
        return max(0, count)

    def count_node(self, nid: i64) -> i64:
        """list_lru_count_node(): entries on the node over all cgroups."""
        return self.node[nid].nr_items.read()

    def shrink_count(self, sc: ShrinkControl) -> i64:
        """list_lru_shrink_count() (include/linux/list_lru.h)."""
        return self.count_one(sc.nid, sc.memcg)

    # Walking

    def walk_one(
        self, nid: i64, memcg: MemCgroup | None, isolate: Isolate, nr_to_walk: i64
    ) -> tuple[i64, i64]:
        """list_lru_walk_one(): visit up to `nr_to_walk` entries of (nid, memcg), oldest first.

        Returns the number isolated and what is left of the budget.
        """
        return self._walk(nid, memcg, isolate, nr_to_walk, PLAIN)

    def walk_one_irq(
        self, nid: i64, memcg: MemCgroup | None, isolate: Isolate, nr_to_walk: i64
    ) -> tuple[i64, i64]:
        """list_lru_walk_one_irq()."""
        return self._walk(nid, memcg, isolate, nr_to_walk, IRQ)

    def _walk(
        self, nid: i64, memcg: MemCgroup | None, isolate: Isolate, nr_to_walk: i64, mode: i64
    ) -> tuple[i64, i64]:
        """__list_lru_walk_one()."""
        isolated: i64 = 0
        total = self.node[nid].nr_items
        while True:
            l, _ = self.lock_of_memcg(nid, memcg, mode, True)
            if l is None:
                return isolated, nr_to_walk
            restart = False
            item = l.next
            while item is not None and item is not l:
                following = item.next
                if nr_to_walk == 0:
                    break
                # The budget counts visits, whatever the callback does: no entry can keep a walk going.
                nr_to_walk -= 1
                status = isolate.isolate(item, l)
                if status == LRU_REMOVED or status == LRU_REMOVED_RETRY:
                    isolated += 1
                    total.add(-1)
                    if status == LRU_REMOVED_RETRY:
                        restart = True
                        break
                elif status == LRU_ROTATE:
                    list_move_tail(item, l)
                elif status == LRU_RETRY:
                    restart = True
                    break
                elif status == LRU_STOP:
                    return isolated, nr_to_walk
                elif status != LRU_SKIP:
                    raise KernelBug(f"BUG: list_lru walk: {status} is no lru_status")
                item = following
            if not restart:
                l.lock.release(mode)
                return isolated, nr_to_walk

    def walk_node(self, nid: i64, isolate: Isolate, nr_to_walk: i64) -> tuple[i64, i64]:
        """list_lru_walk_node(): the root's sublist, then each cgroup's by id, with one budget."""
        isolated, nr_to_walk = self.walk_one(nid, None, isolate, nr_to_walk)
        if not self.memcg_aware:
            return isolated, nr_to_walk
        for index, _ in self.xa.entries():
            if nr_to_walk <= 0:
                break
            rcu = self.machine.rcu
            rcu.read_lock()
            memcg = self.machine.memcg.from_id(index)
            if memcg is None or not memcg.css_tryget():
                rcu.read_unlock()
                continue
            rcu.read_unlock()
            more, nr_to_walk = self.walk_one(nid, memcg, isolate, nr_to_walk)
            isolated += more
            memcg.css_put()
        return isolated, nr_to_walk

    def shrink_walk(self, sc: ShrinkControl, isolate: Isolate) -> i64:
        """list_lru_shrink_walk() (include/linux/list_lru.h): what sc asks for; sc.nr_to_scan is what is left of the budget."""
        isolated, sc.nr_to_scan = self._walk(sc.nid, sc.memcg, isolate, sc.nr_to_scan, PLAIN)
        return isolated

    def shrink_walk_irq(self, sc: ShrinkControl, isolate: Isolate) -> i64:
        """list_lru_shrink_walk_irq() (include/linux/list_lru.h)."""
        isolated, sc.nr_to_scan = self._walk(sc.nid, sc.memcg, isolate, sc.nr_to_scan, IRQ)
        return isolated

    # Heads on demand, and their end

    def memcg_allocated(self, memcg: MemCgroup | None) -> bool:
        """memcg_list_lru_allocated(): whether the cgroup has sublists (the root always does).

        Raises:
            NullDereference: there is no cgroup: above the root, or of a folio that nobody has charged.
        """
        if memcg is None:
            raise NullDereference("memcg_list_lru_allocated(NULL) reads kmemcg_id")
        idx = memcg_kmem_id(memcg)
        return idx < 0 or self.xa.load(idx) is not None

    def memcg_list_lru_alloc(self, memcg: MemCgroup) -> bool:
        """memcg_list_lru_alloc(): make the sublists of the cgroup and of its ancestors. False: no memory.

        Ancestors come first, so that there is always a list to reparent into.
        """
        if not self.memcg_aware or self.memcg_allocated(memcg):
            return True
        return self._alloc_heads(memcg)

    def _alloc_heads(self, memcg: MemCgroup) -> bool:
        """__memcg_list_lru_alloc(): from the farthest ancestor that has none down to the cgroup.

        Like the kernel's, it does not look whether the cgroup itself has its sublists. For the root, which always
        has them, it looks at the parent of the root.

        Raises:
            NullDereference: the cgroup is the root.
        """
        spare = False
        while True:
            position = memcg
            parent = position.parent
            while not self.memcg_allocated(parent):
                assert parent is not None
                position = parent
                parent = position.parent
            if not spare and H.on and H.watcher.fails("list_lru_memcg"):
                return False
            # If another CPU was faster, ours is spare, and serves in the next round.
            spare = True
            block = ListLruMemcg(self.key, self.machine.nr_nodes, position)
            lock = self.xa.lock
            lock.lock_irqsave()
            # A dying cgroup gets no block: its reparenting may have passed already.
            dying = position.css_is_dying()
            if not dying and self.xa.load(position.kmemcg_id) is None:
                self.xa.store(position.kmemcg_id, block)
                spare = False
            lock.unlock_irqrestore()
            if position is memcg or dying:
                return True

    def folio_memcg_list_lru_alloc(self, folio: Folio) -> bool:
        """folio_memcg_list_lru_alloc(): the same from a folio; pins its cgroup while allocating.

        Between the two looks at the folio's cgroup it may have gone offline. Then the second look finds an ancestor,
        and nobody looks again whether that one has its sublists: the finding no-parent-of-root of docs/findings.md.
        """
        if not self.memcg_aware:
            return True
        rcu = self.machine.rcu
        rcu.read_lock()
        allocated = self.memcg_allocated(folio_memcg(folio))
        rcu.read_unlock()
        if allocated:
            return True
        memcg = self.machine.charges.get_mem_cgroup_from_folio(folio)
        made = self._alloc_heads(memcg)
        memcg.css_put()
        return made

    def reparent_node(self, nid: i64, src: ListLruOne, parent: MemCgroup) -> None:
        """memcg_reparent_list_lru_one(): splice into the parent's list, and mark dead."""
        src.lock.lock_irq()
        dst = self.from_memcg_idx(nid, memcg_kmem_id(parent))
        assert dst is not None, "the parent's sublists are made before the child's"
        dst.lock.lock_nested(1)
        list_splice(src, dst)
        if src.nr_items != 0:
            if src.nr_items < 0:
                warn_once(f"WARNING: list_lru: {src!r} has a negative count")
            self._set_nr_items(dst, dst.nr_items + src.nr_items)
            # Always, not only when dst was empty: a concurrent clear may be under way (8199be001a47).
            self.machine.shrinkers.set_shrinker_bit(parent, nid, self.shrinker_id)
        self._set_nr_items(src, DEAD)
        dst.lock.unlock()
        src.lock.unlock_irq()

    def reparent(self, memcg: MemCgroup, parent: MemCgroup) -> None:
        """Part of memcg_reparent_list_lrus(): one list_lru, all nodes; then the block goes, by RCU."""
        block = self.xa.load(memcg.kmemcg_id)
        if block is None:
            return
        for nid in range(self.machine.nr_nodes):
            self.reparent_node(nid, block.node[nid], parent)
        self.xa.lock.lock_irq()
        self.xa.erase(memcg.kmemcg_id)
        self.xa.lock.unlock_irq()
        self.machine.rcu.call(block)


class ListLrus:
    """memcg_list_lrus: the memcg-aware list_lrus, under list_lrus_mutex."""

    def __init__(self) -> None:
        self.mutex: Mutex = Mutex(LIST_LRUS_MUTEX)
        self.lrus: list[ListLru] = []

    def register(self, lru: ListLru) -> None:
        """list_lru_register()."""
        self.mutex.lock()
        self.lrus.append(lru)
        self.mutex.unlock()

    def unregister(self, lru: ListLru) -> None:
        """list_lru_unregister()."""
        self.mutex.lock()
        self.lrus.remove(lru)
        self.mutex.unlock()

    def reparent(self, memcg: MemCgroup, parent: MemCgroup) -> None:
        """memcg_reparent_list_lrus()."""
        self.mutex.lock()
        for lru in self.lrus:
            lru.reparent(memcg, parent)
        self.mutex.unlock()
