# SPDX-License-Identifier: GPL-2.0-only
"""Defects of the shrinker core, and a queue that it cannot ask by cgroup."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from thplab.cpu.object import KernelObject
from thplab.designs.list_lru import ListLruQueue
from thplab.designs.split_queue import DeferredSplit, SplitQueue
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import SHRINKER_NONSLAB, SHRINKER_NUMA_AWARE, Shrinker, Shrinkers
from thplab.mm.shrinker_info import ShrinkerUnit

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["QueueB37", "QueueB37Fixed", "QueueB39", "ShrinkersB37", "ShrinkersB37Fixed"]


class ShrinkersB37Fixed(Shrinkers):
    """6.7: under nokmem every memcg-aware shrinker has an id, and reclaim of a cgroup skips most."""

    def gives_id(self, shrinker: Shrinker) -> bool:
        """Unless the memory controller is disabled."""
        return not self.machine.memcg.disabled

    def _shrink_one(
        self, nid: i64, memcg: MemCgroup, priority: i64, index: i64, unit: ShrinkerUnit, offset: i64
    ) -> i64:
        """One bit; a shrinker that is skipped is put."""
        shrinker = self.by_id[index * 64 + offset]
        if (
            shrinker is not None
            and not self.machine.memcg.kmem_enabled
            and not shrinker.flags & SHRINKER_NONSLAB
        ):
            rcu = self.machine.rcu
            rcu.read_lock()
            got = shrinker.refs.try_get()
            rcu.read_unlock()
            if got:
                self.skip(shrinker.refs)
            return 0
        return super()._shrink_one(nid, memcg, priority, index, unit, offset)

    def skip(self, refs: KernelObject) -> None:
        """The reference that was taken to look at it goes."""
        refs.put_testzero()


class ShrinkersB37(ShrinkersB37Fixed):
    """`continue` without a put."""

    def skip(self, refs: KernelObject) -> None:
        """Forgotten."""


class QueueB37(ListLruQueue):
    """With that shrinker core."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        machine.shrinkers = ShrinkersB37(machine)


class QueueB37Fixed(ListLruQueue):
    """The same, put."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        machine.shrinkers = ShrinkersB37Fixed(machine)


class QueueB39(SplitQueue):
    """Before 5.4: a queue for each node, whatever the cgroup."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.flags = SHRINKER_NUMA_AWARE

    def queue_of(self, memcg: MemCgroup | None, nid: i64) -> DeferredSplit:
        """The node's."""
        return super().queue_of(None, nid)
