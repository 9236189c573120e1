# SPDX-License-Identifier: GPL-2.0-only
"""B18 to B21, B43 and B44: bugs of list_lru."""

from __future__ import annotations

from collections.abc import Callable

from thplab.cpu.list_head import ListHead
from thplab.designs.list_lru import ListLruQueue
from thplab.explorer.cases.machine_world import Lanes, MachineWorld
from thplab.explorer.corpus.bug import Bug, bug
from thplab.explorer.corpus.bugs_series import queue_one
from thplab.explorer.corpus.mutants_list_lru import (
    ListLruB18,
    ListLruB19,
    QueueB21,
    QueueB21Fixed,
    QueueB43,
    QueueB44,
)
from thplab.mm.list_lru import LRU_STOP, Isolate, ListLru, ListLruOne

__all__ = ["BUGS"]


class _StopAtFirst(Isolate):
    """A callback that stops at the first entry and drops the lock, as each does that returns LRU_STOP."""

    def isolate(self, item: ListHead, l: ListLruOne) -> int:
        """LRU_STOP."""
        l.lock.unlock()
        return int(LRU_STOP)


def _walk_stopped(kind: type[ListLru]) -> Callable[[MachineWorld], Lanes]:
    def setup(world: MachineWorld) -> Lanes:
        lru = kind(world.machine)
        lru.add(ListHead(), 0, None)

        def walk() -> None:
            lru.walk_one(0, None, _StopAtFirst(), 4)
            lru.destroy()

        return (walk,)

    return setup


def _obj_offline(kind: type[ListLru]) -> Callable[[MachineWorld], Lanes]:
    """An object is added and removed while its cgroup goes away."""

    def setup(world: MachineWorld) -> Lanes:
        world.nest()
        lru = kind(world.machine, memcg_aware=True)
        world.map_huge()
        folio = world.folios[0]
        lru.memcg_list_lru_alloc(world.cgroup)

        def add_and_delete() -> None:
            lru.add_obj(folio)
            lru.del_obj(folio)

        return add_and_delete, world.rmdir

    return setup


def _nested_del_offline(world: MachineWorld) -> Lanes:
    """Two are queued; one is freed while the cgroup is reparented."""
    world.nest()
    vma = world.map_queued()
    world.map_queued()
    return (lambda: world.unmap(vma)), world.rmdir


BUGS: tuple[Bug, ...] = (
    bug(
        "B18",
        "LRU_STOP users forgotten when the walker took over the locking",
        "v2 of the per-cgroup lock series",
        checks="lockdep",
        mutant=ListLruQueue,
        fixed=ListLruQueue,
        setup=_walk_stopped(ListLruB18),
        fixed_setup=_walk_stopped(ListLru),
        about="The callback has dropped the lock, and the walker drops it again.",
    ),
    bug(
        "B19",
        "memcg use-after-free in list_lru_add_obj() and list_lru_del_obj()",
        "6.8 to 6.10 (CVE-2024-43888)",
        checks="rcu",
        mutant=ListLruQueue,
        fixed=ListLruQueue,
        setup=_obj_offline(ListLruB19),
        fixed_setup=_obj_offline(ListLru),
        cpus=2,
        about="The cgroup is looked up under RCU and used after the section has ended.",
    ),
    bug(
        "B21",
        "bit lost by reparent and a delete with a redirected id",
        "4.19 to 5.9",
        checks="invariants",
        mutant=QueueB21,
        fixed=QueueB21Fixed,
        setup=_nested_del_offline,
        cpus=2,
        about="A delete counts the parent down to -1; reparenting finds it not 0 and sets no bit.",
    ),
    bug(
        "B43",
        "ids redirected before the lists move",
        "4.0 to 5.17",
        checks="warning",
        mutant=QueueB43,
        fixed=ListLruQueue,
        setup=_nested_del_offline,
        cpus=2,
        about="An entry of the child is removed with the parent's count, which becomes negative.",
    ),
    bug(
        "B44",
        "missing head allocation",
        "7.2 and later, any site that forgets the hook",
        checks="warning",
        mutant=QueueB44,
        fixed=ListLruQueue,
        setup=queue_one,
        about="The cgroup has no lists and is not dying; the huge page lands on an ancestor's.",
    ),
)
