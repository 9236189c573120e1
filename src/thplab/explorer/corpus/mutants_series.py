# SPDX-License-Identifier: GPL-2.0-only
"""The defects of the conversion to list_lru, each alone on the design as it was merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from thplab.cpu.list_head import ListHead
from thplab.designs.list_lru import ListLruQueue
from thplab.designs.list_lru_v1 import IsolateV1, ListLruV1
from thplab.explorer.corpus.mutant import QueueWithLru, with_parts
from thplab.mm.collapse import SCAN_ALLOC_HUGE_PAGE_FAIL, SCAN_SUCCEED, CollapseControl
from thplab.mm.khugepaged import Khugepaged
from thplab.mm.list_lru import Isolate, ListLru, ListLruOne
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import PG_ANON, PG_DEVICE_PRIVATE, Folio, Task, Vma
from thplab.mm.shrinker import SHRINKER_NONSLAB, ShrinkControl, Shrinker, Shrinkers

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = [
    "QueueB01",
    "QueueB02",
    "QueueB03",
    "QueueB04",
    "QueueB05",
    "QueueB06",
    "QueueB07",
    "QueueB08",
    "QueueB10",
    "QueueB11",
    "QueueB12Fixed",
    "QueueB13Fixed",
    "QueueB14Fixed",
    "QueueB15",
]


class QueueB01(ListLruQueue):
    """The cgroup is read without RCU."""

    def freeze(self, folio: Folio, expected: i64) -> bool:
        """The section that list_lru_lock() opens comes too late."""
        if not folio.flags & PG_ANON or folio.order <= 1:
            return folio.ref_freeze(expected)
        return self.freeze_on_list(folio, expected)


class QueueB02(ListLruQueue):
    """The locks are of the class of every other list_lru."""

    def make_lru(self) -> ListLru:
        """list_lru_init_memcg() without a key."""
        return ListLru(self.machine, True, self)


class QueueB03(ListLruQueue):
    """A list is locked for folios that can never be on one."""

    def freeze(self, folio: Folio, expected: i64) -> bool:
        """No dequeue_deferred."""
        rcu = self.machine.rcu
        rcu.read_lock()
        frozen = self.freeze_on_list(folio, expected)
        rcu.read_unlock()
        return frozen


class ListLruB04(ListLru):
    """Only nokmem makes it unaware of cgroups; a disabled memory controller does not."""

    def folio_memcg_list_lru_alloc(self, folio: Folio) -> bool:
        """Goes on with the cgroup of a folio that has none."""
        objcg = folio.objcg
        memcg = None if objcg is None else objcg.memcg
        return self.alloc_for(memcg)

    def alloc_for(self, memcg: MemCgroup | None) -> bool:
        """__memcg_list_lru_alloc(NULL): its parent is read."""
        return self._alloc_heads(memcg)  # type: ignore[arg-type]


class QueueB04(QueueWithLru):
    """The hook runs when the memory controller is disabled."""

    kind = ListLruB04

    def prepare(self, folio: Folio) -> bool:
        """Without a look at mem_cgroup_disabled()."""
        return self.the_lru().folio_memcg_list_lru_alloc(folio)


class KhugepagedB05(Khugepaged):
    """`goto out_nolock` while the result is still SCAN_SUCCEED."""

    def collapse(self, task: Task, vma: Vma, slot: i64, cc: CollapseControl) -> str:
        """Success is reported though the heads could not be allocated."""
        result = super().collapse(task, vma, slot, cc)
        return SCAN_SUCCEED if result == SCAN_ALLOC_HUGE_PAGE_FAIL else result


QueueB05 = with_parts(ListLruQueue, khugepaged=KhugepagedB05)


class ListLruB06(ListLru):
    """The caller does not learn that the lock walked up to an ancestor."""

    def lock_irqsave(
        self, nid: i64, memcg: MemCgroup | None
    ) -> tuple[ListLruOne, MemCgroup | None]:
        """list_lru_lock_irqsave(): the cgroup that was asked for passes for the owner of the list."""
        return super().lock_irqsave(nid, memcg)[0], memcg


class QueueB06(QueueWithLru):
    """The bit is set on the cgroup that was asked for."""

    kind = ListLruB06


class QueueB07(ListLruQueue):
    """The walk unlinks a folio before it is done with it, from v1 to v4."""

    def make_isolate(self, dispose: ListHead) -> Isolate:
        """The callback of the first version."""
        return IsolateV1(self, dispose)


class QueueB08(ListLruQueue):
    """SHRINKER_NONSLAB: the shrinker has bits under nokmem, where its lists know no cgroup."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.flags |= SHRINKER_NONSLAB


class ShrinkersB10(Shrinkers):
    """7.2 to 7.2.7: a shrinker that gets no id keeps the 0 of fresh memory."""

    def alloc(self, shrinker: Shrinker) -> None:
        """shrinker_memcg_alloc() returns -ENOSYS before it touches the id."""
        super().alloc(shrinker)
        if not shrinker.memcg_aware:
            shrinker.id = 0


class QueueB10(QueueWithLru):
    """The list_lru takes the id of a shrinker that has none: 0."""

    kind = ListLruV1

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        machine.shrinkers = ShrinkersB10(machine)


class QueueB11(ListLruQueue):
    """An empty list counts 0, not SHRINK_EMPTY."""

    def count_objects(self, sc: ShrinkControl) -> int:
        """Before 25fcea213022."""
        return self.the_lru().shrink_count(sc)


class QueueB12Fixed(ListLruQueue):
    """As proposed: the hook is for anonymous memory; 7.2 runs it for shmem that is swapped in."""

    def prepare(self, folio: Folio) -> bool:
        """Shmem is never queued."""
        if not folio.flags & PG_ANON:
            return True
        return super().prepare(folio)


class QueueB13Fixed(ListLruQueue):
    """As merged: order 1 has no list links and needs no heads."""

    def prepare(self, folio: Folio) -> bool:
        """Order 2 and more only."""
        if folio.order <= 1:
            return True
        return super().prepare(folio)


class QueueB14Fixed(ListLruQueue):
    """Device-private folios are never queued; 7.2 locks a list for them."""

    def freeze(self, folio: Folio, expected: i64) -> bool:
        """Not for device-private memory."""
        if folio.flags & PG_DEVICE_PRIVATE:
            return folio.ref_freeze(expected)
        return super().freeze(folio, expected)


class QueueB15(ListLruQueue):
    """The lists go while the shrinker can still be called."""

    def stop(self) -> None:
        """In the wrong order."""
        self.the_lru().destroy()
        self.machine.shrinkers.free(self)
