# SPDX-License-Identifier: GPL-2.0-only
"""A shrinker for tests, which notes what it is asked."""

from __future__ import annotations

from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import (
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
    Shrinker,
)

AWARE = SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE


class Cache(Shrinker):
    """A cache that notes each question: (node, cgroup's path, objects to scan)."""

    def __init__(
        self, objects: int, flags: int = SHRINKER_NUMA_AWARE, seeks: int = 2, batch: int = 0
    ) -> None:
        super().__init__("cache", flags, seeks, batch)
        self.objects = objects
        self.counts = 0
        self.scans: list[tuple[int, str, int]] = []
        self.results: list[int] = []
        self.scanned: int | None = None

    def count_objects(self, sc: ShrinkControl) -> int:
        self.counts += 1
        return self.objects

    def scan_objects(self, sc: ShrinkControl) -> int:
        path = "" if sc.memcg is None else sc.memcg.path
        self.scans.append((int(sc.nid), path, int(sc.nr_to_scan)))
        if self.scanned is not None:
            sc.nr_scanned = self.scanned
        if self.results:
            return self.results.pop(0)
        return int(sc.nr_to_scan)


def registered(machine: Machine, cache: Cache) -> Cache:
    """The cache, known to the machine."""
    machine.shrinkers.register(cache)
    return cache


def ask(
    machine: Machine, cache: Cache, priority: int, nid: int = 0, memcg: MemCgroup | None = None
) -> int:
    """do_shrink_slab() of the machine."""
    return int(machine.shrinkers.do_shrink_slab(ShrinkControl(nid, memcg), cache, priority))


def sizes(cache: Cache) -> list[int]:
    """What each call of scan_objects() was asked for."""
    return [count for _, _, count in cache.scans]


def deferred(cache: Cache, nid: int = 0) -> int:
    """What waits for the next call."""
    return int(cache.nr_deferred[nid].value)
