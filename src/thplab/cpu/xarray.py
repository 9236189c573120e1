# SPDX-License-Identifier: GPL-2.0-only
"""A map from small ids to objects, read without a lock, and an id allocator (lib/xarray.c, 7.2)."""

from __future__ import annotations

from typing import Generic, TypeVar

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.ops import READ, WRITE
from thplab.cpu.spinlock import LockClass, SpinLock

__all__ = ["Ida", "XArray"]

T = TypeVar("T")


class XArray(Generic[T]):
    """struct xarray: `load` needs no lock; `store` and `erase` are done under `lock`."""

    def __init__(self, key: LockClass) -> None:
        self.lock: SpinLock = SpinLock(key)
        self.slots: list[T | None] = []

    def __repr__(self) -> str:
        return f"xarray {self.lock.key.name}"

    def load(self, index: i64) -> T | None:
        """xa_load(): under RCU or the lock."""
        if H.on:
            H.watcher.point(READ, self)
        if index >= len(self.slots):
            return None
        return self.slots[index]

    def store(self, index: i64, entry: T) -> None:
        """__xa_store(): the lock is held."""
        self.lock.assert_held()
        if H.on:
            H.watcher.point(WRITE, self)
        while len(self.slots) <= index:
            self.slots.append(None)
        self.slots[index] = entry

    def erase(self, index: i64) -> T | None:
        """__xa_erase(): the lock is held. Returns what was there."""
        self.lock.assert_held()
        if H.on:
            H.watcher.point(WRITE, self)
        if index >= len(self.slots):
            return None
        old = self.slots[index]
        self.slots[index] = None
        return old

    def entries(self) -> list[tuple[int, T]]:
        """xa_for_each() (include/linux/xarray.h): the entries as they are now, by ascending id."""
        if H.on:
            H.watcher.point(READ, self)
        return [(index, entry) for index, entry in enumerate(self.slots) if entry is not None]


class Ida:
    """struct ida: the lowest free id at each allocation."""

    def __init__(self) -> None:
        self.used: list[bool] = []
        self.lowest: int = 0

    def alloc(self) -> i64:
        """ida_alloc() (include/linux/idr.h)."""
        index = self.lowest
        while index < len(self.used) and self.used[index]:
            index += 1
        if index == len(self.used):
            self.used.append(True)
        else:
            self.used[index] = True
        self.lowest = index + 1
        return index

    def free(self, index: i64) -> None:
        """ida_free() (lib/idr.c)."""
        self.used[index] = False
        self.lowest = min(self.lowest, index)
