# SPDX-License-Identifier: GPL-2.0-only
"""The conversion to list_lru as it was first posted, with the defects that review and testing found.

"mm: switch deferred split shrinker to list_lru", 11 March 2026 (mm/huge_memory.c, as posted). What differs from what was merged:

- the lock class is that of every other list_lru, whose locks are taken with interrupts on (B02);
- freeze-and-split locks a list for any folio, and reads its cgroup without RCU (B01, B03);
- the caller does not learn that the walk went up to an ancestor, and sets the bit of the dying cgroup (B06);
- the isolate callback unlinks a folio before it is done with it (B07);
- the heads are made for a disabled memory controller too (B04);
- the list_lru is destroyed before the shrinker is freed (B15);
- an empty list counts as 0, so a bit once set stays (B11); the shrinker is NONSLAB (B08, B09).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.list_head import ListHead
from thplab.designs.list_lru import DeferredSplitIsolate, ListLruQueue
from thplab.mm.list_lru import (
    LRU_REMOVED,
    Isolate,
    ListLru,
    ListLruOne,
    list_lru_isolate,
    list_lru_isolate_move,
)
from thplab.mm.mm_types import Folio, folio_memcg
from thplab.mm.shrinker import SHRINKER_NONSLAB, ShrinkControl, Shrinker

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["IsolateV1", "ListLruQueueV1", "ListLruV1"]


@mypyc_attr(allow_interpreted_subclasses=True)
class ListLruV1(ListLru):
    """list_lru before "don't copy stale shrinker id": the id is taken whatever the shrinker became."""

    def take_shrinker_id(self, shrinker: Shrinker) -> i64:
        """Part of __list_lru_init(): of a shrinker that got none too, which made B10 in 7.2."""
        return shrinker.id


@mypyc_attr(allow_interpreted_subclasses=True)
class IsolateV1(DeferredSplitIsolate):
    """B07: the links go first, and with them the only thing that holds off the final put."""

    def isolate(self, item: ListHead, l: ListLruOne) -> i64:
        """deferred_split_isolate(): a folio that is freed is off the list before it is done with."""
        assert isinstance(item, Folio)
        if item.try_get():
            list_lru_isolate_move(l, item, self.dispose)
            return LRU_REMOVED
        list_lru_isolate(l, item)
        self.queue.forget_partially_mapped(item)
        return LRU_REMOVED


@mypyc_attr(allow_interpreted_subclasses=True)
class ListLruQueueV1(ListLruQueue):
    """deferred_split_lru, first version."""

    since: ClassVar[str] = ""
    until: ClassVar[str] = ""
    collapse_says_charge: ClassVar[bool] = True

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.flags |= SHRINKER_NONSLAB
        # Its scan has no label `requeue`.
        self.requeues_locked = False

    def make_lru(self) -> ListLru:
        """list_lru_init_memcg() (include/linux/list_lru.h): no key of its own (B02)."""
        return ListLruV1(self.machine, True, self)

    def stop(self) -> None:
        """thp_shrinker_exit(): in the wrong order (B15)."""
        self.the_lru().destroy()
        self.machine.shrinkers.free(self)

    def prepare(self, folio: Folio) -> bool:
        """memcg_list_lru_alloc_folio() (mm/list_lru.c): whatever the memory controller's state (B04)."""
        return self.the_lru().folio_memcg_list_lru_alloc(folio)

    def enqueue(self, folio: Folio, partially_mapped: bool) -> None:
        """deferred_split_folio(): the bit goes to the cgroup that was asked for, not to the list's owner (B06)."""
        lru = self.the_lru()
        rcu = self.machine.rcu
        rcu.read_lock()
        memcg = folio_memcg(folio)
        l, _ = lru.lock_irqsave(folio.nid, memcg)
        self.note_partially_mapped(folio, partially_mapped)
        lru.add_locked(l, folio, folio.nid, memcg)
        lru.unlock_irqrestore(l)
        rcu.read_unlock()

    def count_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_count(): 0 for an empty list, so its bit is never cleared (B11)."""
        return self.the_lru().shrink_count(sc)

    def make_isolate(self, dispose: ListHead) -> Isolate:
        """The callback of the walk."""
        return IsolateV1(self, dispose)

    def requeue(self, folio: Folio) -> None:
        """Part of deferred_split_scan(): with the same confusion about the owner (B06), except that the cgroup is read
        a second time, under the lock: by then it may be the owner.
        """
        lru = self.the_lru()
        rcu = self.machine.rcu
        rcu.read_lock()
        l, _ = lru.lock_irqsave(folio.nid, folio_memcg(folio))
        lru.add_locked(l, folio, folio.nid, folio_memcg(folio))
        lru.unlock_irqrestore(l)
        rcu.read_unlock()

    def freeze(self, folio: Folio, expected: i64) -> bool:
        """Part of __folio_freeze_and_split_unmapped(): no RCU around the cgroup (B01), no test what kind of
        folio (B03).
        """
        lru = self.the_lru()
        memcg = folio_memcg(folio)
        l, _ = lru.lock(folio.nid, memcg)
        frozen = folio.ref_freeze(expected)
        if frozen and folio.order > 1:
            lru.del_locked(l, folio, folio.nid)
            self.forget_partially_mapped(folio)
        lru.unlock(l)
        return frozen
