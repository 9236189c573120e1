# SPDX-License-Identifier: GPL-2.0-only
"""A cache of our own on the model's list_lru, with a shrinker: entries that were used lately stay."""

from __future__ import annotations

from thplab.cpu.list_head import ListHead
from thplab.mm.list_lru import (
    LRU_REMOVED,
    LRU_ROTATE,
    Isolate,
    ListLru,
    ListLruOne,
    list_lru_isolate,
)
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import (
    SHRINK_EMPTY,
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
    Shrinker,
)


class Dentry(ListHead):
    """A cached name: an entry of a list, and whether it was used since it was last looked at."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.referenced = False


class DropUnused(Isolate):
    """What a walk does with each entry: a second chance for the ones that were used."""

    def isolate(self, item: ListHead, l: ListLruOne) -> int:
        assert isinstance(item, Dentry)
        if item.referenced:
            item.referenced = False
            return LRU_ROTATE
        list_lru_isolate(l, item)
        return LRU_REMOVED


class DentryCache(Shrinker):
    """The shrinker, and the lists that it looks after."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("dentries", SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE)
        machine.shrinkers.alloc(self)
        self.lru = ListLru(machine, memcg_aware=True, shrinker=self)
        machine.shrinkers.register(self)

    def add(self, dentry: Dentry, nid: int, memcg: MemCgroup) -> None:
        """Cache a name for a cgroup; its lists are made with the first."""
        self.lru.memcg_list_lru_alloc(memcg)
        self.lru.add(dentry, nid, memcg)

    def count_objects(self, sc: ShrinkControl) -> int:
        return self.lru.shrink_count(sc) or SHRINK_EMPTY

    def scan_objects(self, sc: ShrinkControl) -> int:
        return self.lru.shrink_walk(sc, DropUnused())


def main() -> None:
    """Two cgroups, two nodes; reclaim on node 0 of one of them."""
    machine = Machine([1 << 30, 1 << 30])
    cache = DentryCache(machine)
    web = machine.memcg.create("/web")
    batch = machine.memcg.create("/batch")
    for number in range(4):
        for memcg in (web, batch):
            for nid in (0, 1):
                cache.add(Dentry(f"{memcg.path}/{nid}/{number}"), nid, memcg)

    freed = machine.shrinkers.shrink_slab(nid=0, memcg=web, priority=0)
    print(f"freed {freed}")
    for memcg in (web, batch):
        print(memcg.path, [cache.lru.count_one(nid, memcg) for nid in (0, 1)])

    machine.memcg.rmdir(batch)
    print("/ after rmdir of /batch", [cache.lru.count_one(nid, None) for nid in (0, 1)])


if __name__ == "__main__":
    main()
