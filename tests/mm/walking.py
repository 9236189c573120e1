# SPDX-License-Identifier: GPL-2.0-only
"""Callbacks for walks of a list_lru, and lists to walk."""

from __future__ import annotations

from collections.abc import Callable

from thplab.cpu.list_head import ListHead
from thplab.cpu.spinlock import PLAIN
from thplab.mm.list_lru import (
    LRU_REMOVED,
    LRU_REMOVED_RETRY,
    LRU_RETRY,
    LRU_SKIP,
    LRU_STOP,
    Isolate,
    ListLru,
    ListLruOne,
    list_lru_isolate,
)
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup

Verdict = Callable[[ListHead, ListLruOne], int]


class ByVerdict(Isolate):
    """Asks a function about each entry; does to the lock what the status promises."""

    def __init__(self, verdict: Verdict, mode: int = PLAIN) -> None:
        super().__init__()
        self.verdict = verdict
        self.mode = mode
        self.visited: list[ListHead] = []

    def isolate(self, item: ListHead, l: ListLruOne) -> int:
        self.visited.append(item)
        status = self.verdict(item, l)
        if status in {LRU_REMOVED_RETRY, LRU_RETRY, LRU_STOP}:
            l.lock.release(self.mode)
        return status


def removed(item: ListHead, one: ListLruOne) -> int:
    """Take every entry."""
    list_lru_isolate(one, item)
    return LRU_REMOVED


def skipped(item: ListHead, one: ListLruOne) -> int:
    """Leave every entry."""
    return LRU_SKIP


def filled(
    machine: Machine, count: int, memcg: MemCgroup | None = None
) -> tuple[ListLru, list[ListHead]]:
    """A list_lru with entries on node 0."""
    lru = ListLru(machine, memcg_aware=memcg is not None)
    if memcg is not None:
        assert lru.memcg_list_lru_alloc(memcg)
    items = [ListHead() for _ in range(count)]
    for item in items:
        assert lru.add(item, 0, memcg)
    return lru, items
