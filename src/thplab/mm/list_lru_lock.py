# SPDX-License-Identifier: GPL-2.0-only
"""The half of list_lru that finds a sublist and locks it for the caller (mm/list_lru.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import H, warn_once
from thplab.cpu.list_head import ListHead, list_add_tail, list_del_init
from thplab.cpu.ops import WRITE
from thplab.cpu.spinlock import IRQ, IRQSAVE, PLAIN, LockClass
from thplab.cpu.xarray import XArray
from thplab.mm.list_lru_one import DEAD, DEFAULT_KEY, ListLruMemcg, ListLruNode, ListLruOne
from thplab.mm.memcontrol import MemCgroup, memcg_kmem_id
from thplab.mm.shrink_control import Shrinker

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["ListLruLocking"]

XA_KEY: Final = LockClass("&lru->xa.xa_lock")


@mypyc_attr(allow_interpreted_subclasses=True)
class ListLruLocking:
    """struct list_lru: its data, lookup and locking. :class:`thplab.mm.list_lru.ListLru` is the whole.

    Args:
        machine: whose nodes and cgroups it is for.
        memcg_aware: list_lru_init_memcg(); `nokmem` forces it off (a disabled memory controller does not).
        shrinker: whose bit is set when a sublist gets its first entry. The id is taken only if the
            shrinker is memcg-aware.
        key: the class of its locks (list_lru_init_memcg_key()).
    """

    def __init__(
        self,
        machine: Machine,
        memcg_aware: bool = False,
        shrinker: Shrinker | None = None,
        key: LockClass | None = None,
    ) -> None:
        self.machine: Machine = machine
        self.key: LockClass = DEFAULT_KEY if key is None else key
        # mem_cgroup_kmem_disabled() is about nokmem alone.
        nokmem = not machine.memcg.kmem_enabled and not machine.memcg.disabled
        self.memcg_aware: bool = memcg_aware and not nokmem
        self.shrinker_id: i64 = -1
        if shrinker is not None:
            self.shrinker_id = self.take_shrinker_id(shrinker)
        self.node: list[ListLruNode] = [
            ListLruNode(self.key, nid) for nid in range(machine.nr_nodes)
        ]
        self.xa: XArray[ListLruMemcg] = XArray(XA_KEY)
        self.destroyed: bool = False

    def take_shrinker_id(self, shrinker: Shrinker) -> i64:
        """Part of __list_lru_init(): the id for set_shrinker_bit(), or -1 ("don't copy stale shrinker id ...", 7.3.4).

        Before, it was copied in any case. Since 7.2.8 a shrinker without one has -1.
        """
        return shrinker.id if shrinker.memcg_aware else -1

    def sublists(self) -> list[ListLruOne]:
        """All sublists there are, the root's first, then by cgroup id. For inspection."""
        ones = [node.lru for node in self.node]
        for block in self.xa.slots:
            if block is not None:
                ones.extend(block.node)
        return ones

    # Lookup and locking

    def from_memcg_idx(self, nid: i64, idx: i64) -> ListLruOne | None:
        """list_lru_from_memcg_idx(): under RCU. A negative id means the root's sublist."""
        if self.memcg_aware and idx >= 0:
            block = self.xa.load(idx)
            return None if block is None else block.node[nid]
        return self.node[nid].lru

    def lock_of_memcg(
        self, nid: i64, memcg: MemCgroup | None, mode: i64, skip_empty: bool
    ) -> tuple[ListLruOne | None, MemCgroup | None]:
        """lock_list_lru_of_memcg(): find and lock the sublist; returns it and its owner.

        With `skip_empty` (walks) a missing or dead sublist is None; else the nearest ancestor's is
        taken, which is right only while the cgroup is dying.
        """
        rcu = self.machine.rcu
        rcu.read_lock()
        while True:
            l = self.from_memcg_idx(nid, memcg_kmem_id(memcg))
            if l is not None:
                l.lock.acquire(mode)
                if l.nr_items != DEAD:
                    # The lock pins the sublist from here on: reparenting needs it too.
                    rcu.read_unlock()
                    return l, memcg
                l.lock.release(mode)
            if skip_empty or memcg is None:
                rcu.read_unlock()
                return None, memcg
            if not memcg.css_is_dying():
                warn_once(
                    f"WARNING: list_lru: no list for {memcg.path} on node {nid}, which is not dying"
                )
            memcg = memcg.parent

    def lock(self, nid: i64, memcg: MemCgroup | None) -> tuple[ListLruOne, MemCgroup | None]:
        """list_lru_lock(): lock the sublist of (nid, memcg). Returns it and its real owner.

        The caller keeps the cgroup alive, by RCU or by a reference.
        """
        return self._lock(nid, memcg, PLAIN)

    def lock_irq(self, nid: i64, memcg: MemCgroup | None) -> tuple[ListLruOne, MemCgroup | None]:
        """list_lru_lock_irq()."""
        return self._lock(nid, memcg, IRQ)

    def lock_irqsave(
        self, nid: i64, memcg: MemCgroup | None
    ) -> tuple[ListLruOne, MemCgroup | None]:
        """list_lru_lock_irqsave()."""
        return self._lock(nid, memcg, IRQSAVE)

    def _lock(
        self, nid: i64, memcg: MemCgroup | None, mode: i64
    ) -> tuple[ListLruOne, MemCgroup | None]:
        l, owner = self.lock_of_memcg(nid, memcg, mode, False)
        assert l is not None, "the root's sublist is always there"
        return l, owner

    def unlock(self, l: ListLruOne) -> None:
        """list_lru_unlock()."""
        l.lock.release(PLAIN)

    def unlock_irq(self, l: ListLruOne) -> None:
        """list_lru_unlock_irq()."""
        l.lock.release(IRQ)

    def unlock_irqrestore(self, l: ListLruOne) -> None:
        """list_lru_unlock_irqrestore()."""
        l.lock.release(IRQSAVE)

    # Adding and removing

    def add_locked(self, l: ListLruOne, item: ListHead, nid: i64, memcg: MemCgroup | None) -> bool:
        """__list_lru_add(): the caller holds `l`, whose owner is `memcg`. Whether it was added."""
        if item.next is not None:
            return False
        list_add_tail(item, l)
        # The count comes before the bit: reclaim that clears the bit afterwards counts again, and must see it.
        self._set_nr_items(l, l.nr_items + 1)
        if l.nr_items == 1 and memcg is not None:
            self.machine.shrinkers.set_shrinker_bit(memcg, nid, self.shrinker_id)
        self.node[nid].nr_items.add(1)
        return True

    def del_locked(self, l: ListLruOne, item: ListHead, nid: i64) -> bool:
        """__list_lru_del(): the caller holds `l`. Whether it was on the list. The bit stays."""
        if item.next is None:
            return False
        list_del_init(item)
        self._set_nr_items(l, l.nr_items - 1)
        self.node[nid].nr_items.add(-1)
        return True

    def _set_nr_items(self, l: ListLruOne, nr_items: i64) -> None:
        """Lockless readers (count_one) see each store."""
        if H.on:
            H.watcher.point(WRITE, l)
        l.nr_items = nr_items
