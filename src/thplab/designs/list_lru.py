# SPDX-License-Identifier: GPL-2.0-only
"""The queue of 7.2 and later: a list_lru, with a list for each node and cgroup (mm/huge_memory.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.list_head import ListHead, list_del_init
from thplab.cpu.spinlock import IRQ, LockClass
from thplab.mm.deferred_split import DeferredSplitQueue, QueueList
from thplab.mm.huge_memory import SCAN_REQUEUE, SCAN_SPLIT
from thplab.mm.list_lru import (
    DEAD,
    LRU_REMOVED,
    LRU_SKIP,
    Isolate,
    ListLru,
    ListLruOne,
    list_lru_isolate,
    list_lru_isolate_move,
)
from thplab.mm.mm_types import PG_ANON, Folio, folio_memcg
from thplab.mm.shrinker import SHRINK_EMPTY, SHRINK_STOP, ShrinkControl

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["DeferredSplitIsolate", "ListLruQueue"]

# CPUs take it with interrupts off, unlike the locks of other list_lrus, so it has its own class.
DEFERRED_SPLIT_KEY: Final = LockClass("deferred_split_key")


@mypyc_attr(allow_interpreted_subclasses=True)
class DeferredSplitIsolate(Isolate):
    """What a scan does with each entry of a sublist."""

    def __init__(self, queue: DeferredSplitQueue, dispose: ListHead) -> None:
        self.queue: DeferredSplitQueue = queue
        self.dispose: ListHead = dispose

    def isolate(self, item: ListHead, l: ListLruOne) -> i64:
        """deferred_split_isolate(): each folio leaves the queue, to a private list, with a reference. One without
        references has its final put under way, or somebody has frozen them: it is left to that CPU.
        """
        assert isinstance(item, Folio)
        if item.try_get():
            list_lru_isolate_move(l, item, self.dispose)
            return LRU_REMOVED
        if self.queue.machine.huge_memory.scan_skips_frozen:
            return LRU_SKIP
        # Before: it leaves the queue for good. The final put looks at the links without the lock, and frees
        # the folio when it finds it unlinked: so everything else must be done before that.
        self.queue.forget_partially_mapped(item)
        list_lru_isolate(l, item)
        return LRU_REMOVED


@mypyc_attr(allow_interpreted_subclasses=True)
class ListLruQueue(DeferredSplitQueue):
    """deferred_split_lru: node-aware and cgroup-aware; the list_lru's reparenting moves it over.

    Attributes:
        requeues_locked: what a scan cannot lock goes back to the queue, flagged or not, where the release does that.
    """

    since: ClassVar[str] = "7.2"
    until: ClassVar[str] = ""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.lru: ListLru | None = None
        self.requeues_locked: bool = True

    def start(self) -> None:
        """thp_shrinker_init(): the list_lru takes the shrinker's id, so the shrinker comes first."""
        shrinkers = self.machine.shrinkers
        shrinkers.alloc(self)
        self.lru = self.make_lru()
        shrinkers.register(self)

    def make_lru(self) -> ListLru:
        """list_lru_init_memcg_key() (include/linux/list_lru.h)."""
        return ListLru(self.machine, True, self, DEFERRED_SPLIT_KEY)

    def stop(self) -> None:
        """thp_shrinker_exit(): shrinker_free() waits for its callers; only then may the lists go."""
        self.machine.shrinkers.free(self)
        self.the_lru().destroy()

    def lists(self) -> list[QueueList]:
        """The sublists."""
        lru = self.the_lru()
        return [
            QueueList(one, one.nr_items, one.nid, one.memcg, lru.memcg_aware, one.nr_items == DEAD)
            for one in lru.sublists()
        ]

    def release(self) -> None:
        """Unlink all entries: a list_lru that is not memcg-aware is in no register of the machine."""
        if self.lru is not None:
            self.lru.release()

    def the_lru(self) -> ListLru:
        """The list_lru, once started."""
        lru = self.lru
        assert lru is not None, "the queue was not started"
        return lru

    def prepare(self, folio: Folio) -> bool:
        """folio_memcg_alloc_deferred(): heads for the folio's cgroup, on every node."""
        if self.machine.memcg.disabled:
            return True
        return self.the_lru().folio_memcg_list_lru_alloc(folio)

    def enqueue(self, folio: Folio, partially_mapped: bool) -> None:
        """deferred_split_folio(): flag and list change together, under the sublist's lock."""
        lru = self.the_lru()
        rcu = self.machine.rcu
        rcu.read_lock()
        l, owner = lru.lock_irqsave(folio.nid, folio_memcg(folio))
        self.note_partially_mapped(folio, partially_mapped)
        lru.add_locked(l, folio, folio.nid, owner)
        lru.unlock_irqrestore(l)
        rcu.read_unlock()

    def unqueue(self, folio: Folio) -> bool:
        """__folio_unqueue_deferred_split()."""
        self.check_unqueue(folio)
        lru = self.the_lru()
        rcu = self.machine.rcu
        rcu.read_lock()
        l, _ = lru.lock_irqsave(folio.nid, folio_memcg(folio))
        unqueued = lru.del_locked(l, folio, folio.nid)
        if unqueued:
            self.forget_partially_mapped(folio)
        lru.unlock_irqrestore(l)
        rcu.read_unlock()
        return unqueued

    def count_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_count(): SHRINK_EMPTY lets the bit be cleared (25fcea213022)."""
        count = self.the_lru().shrink_count(sc)
        return count or SHRINK_EMPTY

    def scan_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_scan()."""
        dispose = ListHead()
        isolated = self.the_lru().shrink_walk_irq(sc, self.make_isolate(dispose))
        huge_memory = self.machine.huge_memory
        split: i64 = 0
        entry = dispose.next
        while entry is not None and entry is not dispose:
            following = entry.next
            assert isinstance(entry, Folio)
            # Only this CPU touches the list: its folios are referenced, and unqueueing needs a count of 0.
            list_del_init(entry)
            label = huge_memory.scan_folio(entry)
            if label == SCAN_SPLIT:
                split += 1
            elif (label == SCAN_REQUEUE and self.requeues_locked) or entry.test_partially_mapped():
                self.requeue(entry)
            self.machine.lru.folio_put(entry)
            entry = following
        if not split and not isolated:
            return SHRINK_STOP
        return split

    def make_isolate(self, dispose: ListHead) -> Isolate:
        """The callback of the walk."""
        return DeferredSplitIsolate(self, dispose)

    def requeue(self, folio: Folio) -> None:
        """Part of deferred_split_scan(): back to the list of the cgroup that the folio belongs to by now."""
        rcu = self.machine.rcu
        rcu.read_lock()
        self.the_lru()._add(folio, folio.nid, folio_memcg(folio), IRQ)
        rcu.read_unlock()

    def freeze(self, folio: Folio, expected: i64) -> bool:
        """Part of __folio_freeze_and_split_unmapped(): the lock comes before the freeze.

        A walker that meets a count of 0 takes it for a final put and unlinks the folio itself.
        """
        if not folio.flags & PG_ANON or folio.order <= 1:
            return folio.ref_freeze(expected)
        rcu = self.machine.rcu
        rcu.read_lock()
        frozen = self.freeze_on_list(folio, expected)
        rcu.read_unlock()
        return frozen

    def freeze_on_list(self, folio: Folio, expected: i64) -> bool:
        """Freeze, and unlink if that succeeds, under the lock of the folio's list."""
        lru = self.the_lru()
        l, _ = lru.lock(folio.nid, folio_memcg(folio))
        frozen = folio.ref_freeze(expected)
        if frozen:
            lru.del_locked(l, folio, folio.nid)
            self.forget_partially_mapped(folio)
        lru.unlock(l)
        return frozen
