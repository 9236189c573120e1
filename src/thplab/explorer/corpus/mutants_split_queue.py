# SPDX-License-Identifier: GPL-2.0-only
"""Defects of the deferred split queue before the conversion, and of what calls it."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.list_head import ListHead, list_splice_tail
from thplab.cpu.spinlock import IRQSAVE
from thplab.designs.list_lru import ListLruQueue
from thplab.designs.split_queue import DeferredSplit, SplitQueue
from thplab.designs.split_queue_reparented import SplitQueueReparented
from thplab.explorer.corpus.mutant import with_parts
from thplab.mm.huge_memory import HugeMemory
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.migrate import Migration
from thplab.mm.mm_types import PG_LRU, PG_PARTIALLY_MAPPED, Folio
from thplab.mm.shrinker import SHRINK_STOP, ShrinkControl
from thplab.mm.swap import Lru

__all__ = ["QueueB23", "QueueB24", "QueueB29", "QueueB32", "QueueB34", "QueueB45"]


class QueueB23(SplitQueue):
    """Folios wait on a list on the stack without a reference."""

    def scan_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_scan() up to 6.8: a folio that could not be locked is put and stays on the list."""
        queue = self.queue_of(sc.memcg, sc.nid)
        dispose = ListHead()
        self._take(queue, sc, dispose)
        split: i64 = 0
        entry = dispose.next
        while entry is not None and entry is not dispose:
            following = entry.next
            assert isinstance(entry, Folio)
            if self.machine.huge_memory.split_queued(entry):
                split += 1
            self.machine.lru.folio_put(entry)
            entry = following
        queue.lock.acquire(IRQSAVE)
        list_splice_tail(dispose, queue)
        empty = queue.next is None
        queue.lock.release(IRQSAVE)
        return SHRINK_STOP if not split and empty else split


class LruB24(Lru):
    """The final put uncharges first."""

    def _free(self, folio: Folio) -> None:
        """__folio_put() in the wrong order: the queue is looked for where the folio is not charged."""
        if folio.order == 0:
            folio.poison()
            return
        if folio.flags & PG_LRU:
            self._del_lru(folio)
        machine = self.machine
        # The look at the queue in uncharge_folio() came with the fix.
        machine.charges.drop_charge(folio)
        machine.rcu.read_lock()
        machine.huge_memory.folio_unqueue_deferred_split(folio)
        machine.rcu.read_unlock()
        machine.pages.nodes[folio.nid].give(folio.nr_pages)
        folio.poison()


QueueB24 = with_parts(SplitQueue, lru=LruB24)


class QueueB29(ListLruQueue):
    """__folio_set_partially_mapped(): not atomic, in a word that others change atomically."""

    def folio_set_partially_mapped(self, folio: Folio) -> None:
        """A load and a store."""
        folio.plain_set_flag(PG_PARTIALLY_MAPPED)


class QueueB32(SplitQueueReparented):
    """Whether the cgroup goes away is looked at before the lock is taken, with no grace period between."""

    def lock_queue(self, memcg: MemCgroup | None, nid: i64) -> DeferredSplit:
        """A flag that is cleared when offlining begins, read without the lock."""
        while memcg is not None and not memcg.online():
            memcg = memcg.parent
        queue = self.queue_of(memcg, nid)
        queue.lock.acquire(IRQSAVE)
        return queue


class MigrationB34(Migration):
    """Before 8a8ca142a488: the new folio is not queued."""

    def queue_dst(self, dst: Folio, partially_mapped: bool) -> None:
        """Forgotten."""


QueueB34 = with_parts(ListLruQueue, migration=MigrationB34)


class HugeMemoryB45(HugeMemory):
    """No look at the order."""

    def deferred_split_folio(self, folio: Folio, partially_mapped: bool) -> None:
        """An order-1 folio has no second tail page, and so no list links."""
        self.machine.deferred_split.enqueue(folio, partially_mapped)


QueueB45 = with_parts(ListLruQueue, huge_memory=HugeMemoryB45)
