# SPDX-License-Identifier: GPL-2.0-only
"""B37 to B41: bugs of the shrinker core, and what cgroup- and node-blind queues do to others."""

from __future__ import annotations

from thplab.designs.list_lru import ListLruQueue
from thplab.designs.split_queue import SplitQueue
from thplab.designs.split_queue_reparented import SplitQueueReparented
from thplab.explorer.cases.machine_world import Lanes, MachineWorld
from thplab.explorer.corpus.bug import Bug, bug, promise
from thplab.explorer.corpus.mutants_shrinker import QueueB37, QueueB37Fixed, QueueB39
from thplab.mm.geometry import HPAGE_PMD_NR
from thplab.mm.mempolicy import MPOL_BIND, Mempolicy
from thplab.mm.shrinker import SHRINKER_MEMCG_AWARE, SHRINKER_NUMA_AWARE, ShrinkControl, Shrinker

__all__ = ["BUGS"]


class _Cache(Shrinker):
    """A cache of slab objects."""

    def __init__(self) -> None:
        super().__init__("cache", SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE)

    def count_objects(self, sc: ShrinkControl) -> int:
        """One."""
        return 1

    def scan_objects(self, sc: ShrinkControl) -> int:
        """None can be freed."""
        return 0


def _skipped_then_freed(world: MachineWorld) -> Lanes:
    """nokmem: reclaim of a cgroup skips the cache; then the cache goes."""
    shrinkers = world.machine.shrinkers
    cache = _Cache()
    shrinkers.register(cache)
    shrinkers.set_shrinker_bit(world.cgroup, 0, cache.id)

    def reclaim_and_umount() -> None:
        shrinkers.shrink_slab(0, world.cgroup, 0)
        shrinkers.free(cache)

    return (reclaim_and_umount,)


def _at_the_limit(world: MachineWorld) -> Lanes:
    """A cgroup at memory.max with a huge page of which half could be freed, and a task that needs half."""
    machine = world.machine
    machine.vmscan.repeats_fully = False  # as until 6.8
    world.map_queued()
    world.cgroup.memory.max = HPAGE_PMD_NR
    small = machine.mmap(world.task, "small", int(HPAGE_PMD_NR))
    machine.move_task(world.task, world.cgroup)
    machine.huge_memory.thp.enabled = "never"

    def touch() -> None:
        machine.memory.touch(world.task, small, 0, (1 << 128) - 1, zeros=False)
        promise(
            not world.task.mm.killed,
            "the cgroup ran out of memory while half of a queued huge page could have been freed",
        )

    return (touch,)


def _pressure_on_one_node(world: MachineWorld) -> Lanes:
    """One huge page is queued on node 0, two on node 1; node 0 needs memory."""
    machine = world.machine
    for nid in (0, 1, 1):
        world.task.policy = Mempolicy(MPOL_BIND, [nid])
        world.map_queued()
    world.task.policy = None
    elsewhere = [folio for folio in world.folios if folio.nid == 1]
    assert len(elsewhere) == 2

    def reclaim_node_0() -> None:
        machine.shrinkers.shrink_slab(0, world.cgroup, 0)
        split = [folio for folio in elsewhere if folio.order == 0]
        promise(not split, f"{len(split)} huge pages of node 1 were split for node 0")

    return (reclaim_node_0,)


def _reachable_after_offline(world: MachineWorld) -> Lanes:
    """A cgroup goes offline; from then on reclaim of the parent must reach its queued huge page."""
    parent = world.nest()
    vma = world.map_queued()

    def offline_and_reclaim() -> None:
        world.rmdir()
        world.machine.shrinkers.shrink_slab(0, parent, 0)
        promise(
            vma.slots[0] is None or world.folios[0].order == 0,
            "a queued huge page of an offline cgroup is out of reach of reclaim",
        )

    return (offline_and_reclaim,)


BUGS: tuple[Bug, ...] = (
    bug(
        "B37",
        "refcount leak in shrink_slab_memcg() under nokmem",
        "6.7 until 2026",
        checks="deadlock",
        mutant=QueueB37,
        fixed=QueueB37Fixed,
        setup=_skipped_then_freed,
        boot="nokmem",
        about="A skipped shrinker is not put; shrinker_free() waits for ever.",
    ),
    bug(
        "B39",
        "memcg OOM because the queue was per-node only",
        "before 5.4",
        checks="postcondition",
        mutant=QueueB39,
        fixed=SplitQueue,
        setup=_at_the_limit,
        about="Reclaim of a cgroup cannot reach its queued huge pages.",
    ),
    bug(
        "B40",
        "wrong-node split",
        "5.4 to 7.1",
        checks="postcondition",
        mutant=SplitQueue,
        fixed=ListLruQueue,
        setup=_pressure_on_one_node,
        nodes=2,
        about="Reclaim of node 0 splits huge pages of node 1: the headline of the conversion.",
    ),
    bug(
        "B41",
        "queue of an offline cgroup out of reach",
        "5.4 to 6.18",
        checks="postcondition",
        mutant=SplitQueue,
        fixed=SplitQueueReparented,
        setup=_reachable_after_offline,
        about="shrink_slab_memcg() skips an offline cgroup, and nothing hands its queue over.",
    ),
)
