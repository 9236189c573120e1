# SPDX-License-Identifier: GPL-2.0-only
"""Defects of list_lru itself, and the accounting that it had until 2024."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H, warn_once
from thplab.cpu.list_head import list_splice
from thplab.cpu.ops import WRITE
from thplab.cpu.spinlock import PLAIN
from thplab.designs.list_lru import ListLruQueue
from thplab.explorer.corpus.mutant import QueueWithLru
from thplab.mm.list_lru import DEAD, LRU_STOP, Isolate, ListLru, ListLruOne
from thplab.mm.memcontrol import MemCgroup, memcg_kmem_id
from thplab.mm.mm_types import Folio, folio_memcg

__all__ = ["ListLruB18", "ListLruB19", "QueueB21", "QueueB21Fixed", "QueueB43", "QueueB44"]


class ListLruB18(ListLru):
    """The walker expects the lock to be held after LRU_STOP."""

    def _walk(
        self, nid: i64, memcg: MemCgroup | None, isolate: Isolate, nr_to_walk: i64, mode: i64
    ) -> tuple[i64, i64]:
        """One visit is enough to show it."""
        l, _ = self.lock_of_memcg(nid, memcg, mode, True)
        if l is None:
            return 0, nr_to_walk
        item = l.next
        if item is not None and item is not l:
            nr_to_walk -= 1
            status = isolate.isolate(item, l)
            if status == LRU_STOP:
                l.lock.release(mode)
                return 0, nr_to_walk
        l.lock.release(mode)
        return 0, nr_to_walk


class ListLruB19(ListLru):
    """The cgroup of an object is looked up in a read section that ends before it is used."""

    def add_obj(self, folio: Folio) -> bool:
        """list_lru_add_obj() of 6.8 to 6.10."""
        return self._add(folio, folio.nid, self._memcg_of(folio), PLAIN)

    def del_obj(self, folio: Folio) -> bool:
        """list_lru_del_obj() of 6.8 to 6.10."""
        return self.delete(folio, folio.nid, self._memcg_of(folio))

    def _memcg_of(self, folio: Folio) -> MemCgroup | None:
        if not self.memcg_aware:
            return None
        rcu = self.machine.rcu
        rcu.read_lock()
        memcg = folio_memcg(folio)
        rcu.read_unlock()
        return memcg


class _RedirectedLru(ListLru):
    """2788cf0c401c: one lock for all lists of a node; the dying cgroup's id becomes its parent's
    before anything is moved, so that a removal may count down the parent for an entry of the child.
    """

    def from_memcg_idx(self, nid: i64, idx: i64) -> ListLruOne | None:
        """The lists of a node share its lock."""
        one = super().from_memcg_idx(nid, idx)
        if one is not None:
            one.lock = self.node[nid].lru.lock
        return one

    def wants_bit(self, before: i64, moved: i64) -> bool:
        """Whether the parent's bit is set after `moved` entries came to the `before` it had."""
        return before == 0 and moved != 0

    def reparent(self, memcg: MemCgroup, parent: MemCgroup) -> None:
        """memcg_drain_all_list_lrus(), 4.0 to 5.17."""
        own_id = memcg.kmemcg_id
        block = self.xa.load(own_id)
        if block is None:
            return
        if H.on:
            H.watcher.point(WRITE, memcg)
        memcg.kmemcg_id = parent.kmemcg_id
        for nid in range(self.machine.nr_nodes):
            self._drain_node(nid, block.node[nid], parent)
        self.xa.lock.lock_irq()
        self.xa.erase(own_id)
        self.xa.lock.unlock_irq()
        memcg.kmemcg_id = own_id
        self.machine.rcu.call(block)

    def _drain_node(self, nid: i64, src: ListLruOne, parent: MemCgroup) -> None:
        lock = self.node[nid].lru.lock
        src.lock = lock
        lock.lock_irq()
        dst = self.from_memcg_idx(nid, memcg_kmem_id(parent))
        assert dst is not None
        before = dst.nr_items
        moved = src.nr_items
        list_splice(src, dst)
        self._set_nr_items(dst, before + moved)
        if self.wants_bit(before, moved):
            self.machine.shrinkers.set_shrinker_bit(parent, nid, self.shrinker_id)
        self._set_nr_items(src, DEAD)
        lock.unlock_irq()


class _RedirectedLruFixed(_RedirectedLru):
    """8199be001a47: the bit is set whenever something moved."""

    def wants_bit(self, before: i64, moved: i64) -> bool:
        """Whatever the parent had."""
        return moved != 0


class _RedirectedLruB43(_RedirectedLruFixed):
    """The same, with the negative counts that were declared acceptable reported."""

    def _set_nr_items(self, l: ListLruOne, nr_items: i64) -> None:
        if nr_items < 0 and nr_items != DEAD:
            warn_once(f"WARNING: list_lru: the count of {l!r} becomes {nr_items}")
        super()._set_nr_items(l, nr_items)


class QueueB21(QueueWithLru):
    """With the redirecting list_lru and its condition for the bit."""

    kind = _RedirectedLru


class QueueB21Fixed(QueueWithLru):
    """Redirecting still, and the bit set always."""

    kind = _RedirectedLruFixed


class QueueB43(QueueWithLru):
    """Redirecting, with negative counts reported."""

    kind = _RedirectedLruB43


class QueueB44(ListLruQueue):
    """An allocation site that forgot the hook."""

    def prepare(self, folio: Folio) -> bool:
        """No heads are made."""
        return True
