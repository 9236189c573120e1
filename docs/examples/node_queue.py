# SPDX-License-Identifier: GPL-2.0-only
"""A design of our own: a queue for each node, blind to cgroups (what the kernel had before 5.4)."""

from __future__ import annotations

from thplab.cpu.list_head import ListHead, list_add_tail, list_del_init, list_entries, list_release
from thplab.cpu.spinlock import IRQSAVE, LockClass, SpinLock
from thplab.designs import DeferredSplitQueue
from thplab.mm.deferred_split import QueueList
from thplab.mm.machine import Machine
from thplab.mm.mm_types import Folio
from thplab.mm.shrinker import SHRINK_EMPTY, SHRINK_STOP, SHRINKER_NUMA_AWARE, ShrinkControl


class NodeQueue(DeferredSplitQueue):
    """One list, one length and one lock for each node."""

    def __init__(self, machine: Machine) -> None:
        # Not memcg-aware: reclaim asks only when it is about the whole machine.
        super().__init__(machine, SHRINKER_NUMA_AWARE)
        key = LockClass("node_queue_lock")
        self.queues = [ListHead() for _ in range(machine.nr_nodes)]
        self.lengths = [0] * machine.nr_nodes
        self.locks = [SpinLock(key) for _ in range(machine.nr_nodes)]

    def enqueue(self, folio: Folio, partially_mapped: bool) -> None:
        nid = folio.nid
        self.locks[nid].acquire(IRQSAVE)
        self.note_partially_mapped(folio, partially_mapped)
        self._link(folio)
        self.locks[nid].release(IRQSAVE)

    def unqueue(self, folio: Folio) -> bool:
        self.check_unqueue(folio)
        self.locks[folio.nid].acquire(IRQSAVE)
        unqueued = self._unlink(folio)
        if unqueued:
            self.forget_partially_mapped(folio)
        self.locks[folio.nid].release(IRQSAVE)
        return unqueued

    def count_objects(self, sc: ShrinkControl) -> int:
        return self.lengths[sc.nid] or SHRINK_EMPTY

    def scan_objects(self, sc: ShrinkControl) -> int:
        # A reference keeps each folio while the lock is dropped; splitting takes the lock again.
        taken: list[Folio] = []
        self.locks[sc.nid].acquire(IRQSAVE)
        for entry in list_entries(self.queues[sc.nid]):
            if len(taken) == sc.nr_to_scan:
                break
            assert isinstance(entry, Folio)
            if entry.try_get():
                self._unlink(entry)
                taken.append(entry)
        self.locks[sc.nid].release(IRQSAVE)

        split = 0
        for folio in taken:
            if self.machine.huge_memory.split_queued(folio):
                split += 1
            elif folio.test_partially_mapped():
                self.locks[folio.nid].acquire(IRQSAVE)
                self._link(folio)
                self.locks[folio.nid].release(IRQSAVE)
            self.machine.lru.folio_put(folio)
        return split if taken else SHRINK_STOP

    def freeze(self, folio: Folio, expected: int) -> bool:
        self.locks[folio.nid].acquire(IRQSAVE)
        frozen = folio.ref_freeze(expected)
        if frozen:
            self._unlink(folio)
            self.forget_partially_mapped(folio)
        self.locks[folio.nid].release(IRQSAVE)
        return frozen

    def lists(self) -> list[QueueList]:
        return [
            QueueList(queue, self.lengths[nid], nid, of_memcg=False)
            for nid, queue in enumerate(self.queues)
        ]

    def release(self) -> None:
        for queue in self.queues:
            list_release(queue)

    def _link(self, folio: Folio) -> None:
        if folio.next is None:
            list_add_tail(folio, self.queues[folio.nid])
            self.lengths[folio.nid] += 1

    def _unlink(self, folio: Folio) -> bool:
        if folio.next is None:
            return False
        list_del_init(folio)
        self.lengths[folio.nid] -= 1
        return True
