# SPDX-License-Identifier: GPL-2.0-only
"""The sublists of a list_lru, and what a walk does with their entries (mm/list_lru.c, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.atomic import AtomicLong
from thplab.cpu.list_head import ListHead, list_del_init, list_move
from thplab.cpu.rcu import RcuHead
from thplab.cpu.spinlock import LockClass, SpinLock
from thplab.mm.memcontrol import MemCgroup

__all__ = [
    "DEAD",
    "DEFAULT_KEY",
    "LRU_REMOVED",
    "LRU_REMOVED_RETRY",
    "LRU_RETRY",
    "LRU_ROTATE",
    "LRU_SKIP",
    "LRU_STOP",
    "Isolate",
    "ListLruMemcg",
    "ListLruNode",
    "ListLruOne",
    "list_lru_isolate",
    "list_lru_isolate_move",
]

# enum lru_status. REMOVED, ROTATE and SKIP return with the sublist's lock held, the others with it dropped.
LRU_REMOVED: Final[i64] = 0
LRU_REMOVED_RETRY: Final[i64] = 1
LRU_ROTATE: Final[i64] = 2
LRU_SKIP: Final[i64] = 3
LRU_RETRY: Final[i64] = 4
LRU_STOP: Final[i64] = 5

DEAD: Final[i64] = -(1 << 63)  # LONG_MIN in nr_items: the sublist was reparented

# All list_lru locks that give no key are initialised by one statement, and so are one class.
DEFAULT_KEY: Final = LockClass("&l->lock")


@mypyc_attr(acyclic=True)
class ListLruOne(ListHead):
    """struct list_lru_one: the list of one (node, cgroup); it is the head itself.

    Attributes:
        nr_items: entries, or DEAD.
        lock: protects the links and nr_items.
    """

    def __init__(self, key: LockClass, nid: i64, memcg: MemCgroup | None) -> None:
        super().__init__()
        self.nr_items: i64 = 0
        self.lock: SpinLock = SpinLock(key)
        self.nid: i64 = nid
        self.memcg: MemCgroup | None = memcg

    def __repr__(self) -> str:
        owner = self.memcg.path if self.memcg is not None else "root"
        items = "dead" if self.nr_items == DEAD else str(self.nr_items)
        return f"list_lru_one({owner}, node {self.nid}, {items})"


class ListLruMemcg(RcuHead):
    """struct list_lru_memcg: the sublists of one cgroup, one for each possible node."""

    def __init__(self, key: LockClass, nr_nodes: i64, memcg: MemCgroup) -> None:
        self.node: list[ListLruOne] = [ListLruOne(key, nid, memcg) for nid in range(nr_nodes)]
        self.freed: bool = False

    def func(self) -> None:
        """What kvfree_rcu() leads to: nobody may look at the sublists any more."""
        self.freed = True


class ListLruNode:
    """struct list_lru_node: the root's sublist of a node, and the total over all cgroups."""

    def __init__(self, key: LockClass, nid: i64) -> None:
        self.lru: ListLruOne = ListLruOne(key, nid, None)
        self.nr_items: AtomicLong = AtomicLong()


@mypyc_attr(allow_interpreted_subclasses=True)
class Isolate:
    """list_lru_walk_cb: what a walk does with each entry."""

    def isolate(self, item: ListHead, l: ListLruOne) -> i64:
        """Called with the sublist's lock held. Returns an lru_status."""
        raise NotImplementedError


def list_lru_isolate(l: ListLruOne, item: ListHead) -> None:
    """list_lru_isolate(): unlink, for a callback that returns REMOVED; the walker counts the node."""
    list_del_init(item)
    l.nr_items -= 1


def list_lru_isolate_move(l: ListLruOne, item: ListHead, head: ListHead) -> None:
    """list_lru_isolate_move(): move to the front of the caller's private list, which has the last one first then."""
    list_move(item, head)
    l.nr_items -= 1
