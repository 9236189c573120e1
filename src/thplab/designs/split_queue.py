# SPDX-License-Identifier: GPL-2.0-only
"""The queue of 5.4 to 6.18: one for each cgroup, blind to nodes (mm/huge_memory.c, 6.12 to 6.18).

The queue of a cgroup that went offline stays with it, out of every shrinker's sight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import H
from thplab.cpu.list_head import (
    ListHead,
    list_add_tail,
    list_del_init,
    list_move,
    list_release,
    list_splice_tail,
)
from thplab.cpu.ops import READ, WRITE
from thplab.cpu.spinlock import IRQSAVE, LockClass, SpinLock
from thplab.mm.deferred_split import DeferredSplitQueue, QueueList
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import Folio, folio_memcg
from thplab.mm.shrinker import (
    SHRINK_STOP,
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NONSLAB,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["DeferredSplit", "SplitQueue"]

SPLIT_QUEUE_KEY: Final = LockClass("&ds_queue->split_queue_lock")


@mypyc_attr(acyclic=True)
class DeferredSplit(ListHead):
    """struct deferred_split: the queue is its own head.

    Attributes:
        split_queue_len: entries, under `lock`; read without it by count.
        memcg: whose it is; None: a node's.
    """

    def __init__(self, memcg: MemCgroup | None) -> None:
        super().__init__()
        self.split_queue_len: i64 = 0
        self.lock: SpinLock = SpinLock(SPLIT_QUEUE_KEY)
        self.memcg: MemCgroup | None = memcg

    def __repr__(self) -> str:
        return f"deferred_split({self.memcg!r}, {self.split_queue_len})"

    def set_len(self, length: i64) -> None:
        """A store that count sees."""
        if H.on:
            H.watcher.point(WRITE, self)
        self.split_queue_len = length


@mypyc_attr(allow_interpreted_subclasses=True)
class SplitQueue(DeferredSplitQueue):
    """deferred_split_queue of struct mem_cgroup and struct pglist_data.

    Attributes:
        hands_over: whether an offline cgroup's queue becomes its parent's.
    """

    since: ClassVar[str] = "5.4"
    until: ClassVar[str] = "6.18"

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE | SHRINKER_NONSLAB)
        self.reparents_lru_folios = False
        self.hands_over: bool = False
        self.of_node: list[DeferredSplit] = [DeferredSplit(None) for _ in range(machine.nr_nodes)]
        self.of_memcg: list[DeferredSplit | None] = []

    def lists(self) -> list[QueueList]:
        """The queues that there are."""
        found = []
        for queue in self.of_node + self.of_memcg:
            if queue is not None:
                memcg = queue.memcg
                dead = self.hands_over and memcg is not None and not memcg.online()
                found.append(QueueList(queue, queue.split_queue_len, -1, memcg, True, dead))
        return found

    def release(self) -> None:
        """Unlink all entries."""
        for queue in self.of_node + self.of_memcg:
            if queue is not None:
                list_release(queue)
                queue.memcg = None

    def queue_of(self, memcg: MemCgroup | None, nid: i64) -> DeferredSplit:
        """get_deferred_split_queue(): the cgroup's; the node's where the memory controller is disabled."""
        if memcg is None:
            return self.of_node[nid]
        # The root's id is -1.
        index = memcg.kmemcg_id + 1
        while len(self.of_memcg) <= index:
            self.of_memcg.append(None)
        queue = self.of_memcg[index]
        if queue is None or queue.memcg is not memcg:
            queue = DeferredSplit(memcg)
            self.of_memcg[index] = queue
        return queue

    def lock_queue_of(self, folio: Folio) -> DeferredSplit:
        """The folio's queue, with its lock held."""
        rcu = self.machine.rcu
        rcu.read_lock()
        queue = self.queue_of(folio_memcg(folio), folio.nid)
        queue.lock.acquire(IRQSAVE)
        rcu.read_unlock()
        return queue

    def add_locked(self, queue: DeferredSplit, folio: Folio) -> None:
        """Part of deferred_split_folio(): link at the tail unless it is linked; the bit is that of the folio's own node."""
        if folio.next is None:
            list_add_tail(folio, queue)
            queue.set_len(queue.split_queue_len + 1)
            if queue.memcg is not None:
                self.machine.shrinkers.set_shrinker_bit(
                    queue.memcg, folio.nid, self.id if self.memcg_aware else -1
                )

    def del_locked(self, queue: DeferredSplit, folio: Folio) -> bool:
        """Part of __folio_unqueue_deferred_split(): unlink if it is linked."""
        if folio.next is None:
            return False
        list_del_init(folio)
        queue.set_len(queue.split_queue_len - 1)
        return True

    def enqueue(self, folio: Folio, partially_mapped: bool) -> None:
        """deferred_split_folio()."""
        queue = self.lock_queue_of(folio)
        self.note_partially_mapped(folio, partially_mapped)
        self.add_locked(queue, folio)
        queue.lock.release(IRQSAVE)

    def unqueue(self, folio: Folio) -> bool:
        """__folio_unqueue_deferred_split()."""
        self.check_unqueue(folio)
        queue = self.lock_queue_of(folio)
        unqueued = self.del_locked(queue, folio)
        if unqueued:
            self.forget_partially_mapped(folio)
        queue.lock.release(IRQSAVE)
        return unqueued

    def count_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_count(): the whole queue, whatever node is asked about; 0, never SHRINK_EMPTY."""
        queue = self.queue_of(sc.memcg, sc.nid)
        if H.on:
            H.watcher.point(READ, queue)
        return queue.split_queue_len

    def scan_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_scan(): through a list on the stack, spliced back at the end."""
        queue = self.queue_of(sc.memcg, sc.nid)
        dispose = ListHead()
        self._take(queue, sc, dispose)
        split, removed, last = self._split_all(dispose)
        queue.lock.acquire(IRQSAVE)
        list_splice_tail(dispose, queue)
        queue.set_len(queue.split_queue_len - removed)
        empty = queue.next is None
        queue.lock.release(IRQSAVE)
        if last is not None:
            self.machine.lru.folio_put(last)
        if not split and empty:
            return SHRINK_STOP
        return split

    def _take(self, queue: DeferredSplit, sc: ShrinkControl, dispose: ListHead) -> None:
        """Move up to `nr_to_scan` folios to the list on the stack, each with a reference."""
        queue.lock.acquire(IRQSAVE)
        entry = queue.next
        while entry is not None and entry is not queue:
            following = entry.next
            assert isinstance(entry, Folio)
            if entry.try_get():
                # To the front; they still count as queued.
                list_move(entry, dispose)
            else:
                # The final put is under way: it frees the folio once it finds it unlinked.
                self.forget_partially_mapped(entry)
                list_del_init(entry)
                queue.set_len(queue.split_queue_len - 1)
            sc.nr_to_scan -= 1
            if sc.nr_to_scan == 0:
                break
            entry = following
        queue.lock.release(IRQSAVE)

    def _split_all(self, dispose: ListHead) -> tuple[i64, i64, Folio | None]:
        """Part of deferred_split_scan(): split what can be. What stays on the list keeps the reference of one
        folio at a time.

        Returns:
            The number split, the number dropped from the queue, and a folio still to be put.
        """
        split: i64 = 0
        removed: i64 = 0
        last: Folio | None = None
        entry = dispose.next
        while entry is not None and entry is not dispose:
            following = entry.next
            assert isinstance(entry, Folio)
            folio: Folio | None = entry
            if self.machine.huge_memory.split_queued(entry):
                split += 1
            elif not entry.test_partially_mapped():
                list_del_init(entry)
                removed += 1
            else:
                # An unlocked list_del_init() is safe only while its neighbours cannot be unqueued:
                # so the last one left on the list stays referenced until the next one is.
                folio = last
                last = entry
            if folio is not None:
                self.machine.lru.folio_put(folio)
            entry = following
        return split, removed, last

    def freeze(self, folio: Folio, expected: i64) -> bool:
        """Part of split_huge_page_to_list_to_order(): the queue's lock is taken for any folio."""
        queue = self.lock_queue_of(folio)
        frozen = folio.ref_freeze(expected)
        if frozen and folio.order > 1:
            self.del_locked(queue, folio)
            self.forget_partially_mapped(folio)
        queue.lock.release(IRQSAVE)
        return frozen
