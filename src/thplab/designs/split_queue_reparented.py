# SPDX-License-Identifier: GPL-2.0-only
"""The queue of 6.19 to 7.1: one for each cgroup, handed to the parent when it goes offline (mm/huge_memory.c, 6.19 to 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.list_head import list_del_init, list_splice_tail
from thplab.cpu.spinlock import IRQ, IRQSAVE
from thplab.designs.split_queue import DeferredSplit, SplitQueue
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import Folio, folio_memcg
from thplab.mm.shrinker import SHRINK_STOP, ShrinkControl

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["SplitQueueReparented"]

FOLIO_BATCH_SIZE: Final[i64] = 31


@mypyc_attr(allow_interpreted_subclasses=True)
class SplitQueueReparented(SplitQueue):
    """As before 6.19, with batches in the place of the list on the stack, and reparenting."""

    since: ClassVar[str] = "6.19"
    until: ClassVar[str] = "7.1"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.hands_over = True
        # From 7.1 on the folios follow; whether they do is the release's matter.
        self.reparents_lru_folios = True

    def lock_queue(self, memcg: MemCgroup | None, nid: i64) -> DeferredSplit:
        """split_queue_lock_irqsave(): the queue of the nearest cgroup that is not dying.

        Dying is set a grace period before the queue moves; until then what it holds is hidden.
        """
        while True:
            queue = self.queue_of(memcg, nid)
            queue.lock.acquire(IRQSAVE)
            if memcg is None or not memcg.css_is_dying():
                return queue
            queue.lock.release(IRQSAVE)
            memcg = memcg.parent

    def lock_queue_of(self, folio: Folio) -> DeferredSplit:
        """folio_split_queue_lock_irqsave()."""
        rcu = self.machine.rcu
        rcu.read_lock()
        queue = self.lock_queue(folio_memcg(folio), folio.nid)
        rcu.read_unlock()
        return queue

    def scan_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_scan(): batch by batch; each folio in a batch is referenced and off the queue."""
        split: i64 = 0
        while True:
            queue = self.lock_queue(sc.memcg, sc.nid)
            batch = self._take_batch(queue, sc)
            queue.lock.release(IRQSAVE)
            for folio in batch:
                if self.machine.huge_memory.split_queued(folio):
                    split += 1
                elif folio.test_partially_mapped():
                    self._requeue(folio)
            for folio in batch:
                self.machine.lru.folio_put(folio)
            if not sc.nr_to_scan or queue.next is None:
                break
        if not split and queue.next is None:
            return SHRINK_STOP
        return split

    def _take_batch(self, queue: DeferredSplit, sc: ShrinkControl) -> list[Folio]:
        """Part of deferred_split_scan(): up to 31 folios leave the queue, referenced."""
        batch: list[Folio] = []
        entry = queue.next
        while entry is not None and entry is not queue:
            following = entry.next
            assert isinstance(entry, Folio)
            if entry.try_get():
                batch.append(entry)
            else:
                # The final put is under way: it frees the folio once it finds it unlinked.
                self.forget_partially_mapped(entry)
            list_del_init(entry)
            queue.set_len(queue.split_queue_len - 1)
            sc.nr_to_scan -= 1
            if sc.nr_to_scan == 0 or len(batch) == FOLIO_BATCH_SIZE:
                break
            entry = following
        return batch

    def _requeue(self, folio: Folio) -> None:
        """Part of deferred_split_scan(): back to the queue that the folio belongs to by now."""
        queue = self.lock_queue_of(folio)
        self.add_locked(queue, folio)
        queue.lock.release(IRQSAVE)

    def reparent(self, memcg: MemCgroup, parent: MemCgroup) -> None:
        """reparent_deferred_split_queue(): to the parent's tail; its bit is set on every node,
        because the queue does not know which.
        """
        source = self.queue_of(memcg, 0)
        target = self.queue_of(parent, 0)
        source.lock.acquire(IRQ)
        target.lock.acquire(0, 1)
        if source.split_queue_len:
            list_splice_tail(source, target)
            target.set_len(target.split_queue_len + source.split_queue_len)
            source.set_len(0)
            for nid in range(self.machine.nr_nodes):
                self.machine.shrinkers.set_shrinker_bit(
                    parent, nid, self.id if self.memcg_aware else -1
                )
        target.lock.release(0)
        source.lock.release(IRQ)
