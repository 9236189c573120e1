# SPDX-License-Identifier: GPL-2.0-only
"""Atomic counters and bit maps (include/linux/atomic.h, bitops.h, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.ops import ADD, PLAIN_READ, PLAIN_WRITE, READ, RMW, WRITE

__all__ = ["BITS_PER_LONG", "AtomicLong", "Bitmap"]

BITS_PER_LONG: Final[i64] = 64


class AtomicLong:
    """atomic_long_t: a signed 64-bit counter."""

    def __init__(self, value: i64 = 0) -> None:
        self.value: i64 = value

    def __repr__(self) -> str:
        return f"atomic {self.value}"

    def read(self) -> i64:
        """atomic_long_read()."""
        if H.on:
            H.watcher.point(READ, self)
        return self.value

    def set(self, value: i64) -> None:
        """atomic_long_set()."""
        if H.on:
            H.watcher.point(WRITE, self)
        self.value = value

    def add(self, delta: i64) -> None:
        """atomic_long_add(), atomic_long_sub(): no result."""
        if H.on:
            H.watcher.point(ADD, self)
        self.value += delta

    def add_return(self, delta: i64) -> i64:
        """atomic_long_add_return(): the new value."""
        if H.on:
            H.watcher.point(RMW, self)
        self.value += delta
        return self.value

    def xchg(self, value: i64) -> i64:
        """atomic_long_xchg(): the old value."""
        if H.on:
            H.watcher.point(RMW, self)
        old = self.value
        self.value = value
        return old

    def cmpxchg(self, old: i64, new: i64) -> i64:
        """atomic_long_cmpxchg(): stores `new` if the value is `old`; returns what was there."""
        if H.on:
            H.watcher.point(RMW, self)
        was = self.value
        if was == old:
            self.value = new
        return was

    def plain_add(self, delta: i64) -> None:
        """A non-atomic `value += delta`: a load and a store, between which others may run."""
        if H.on:
            H.watcher.point(PLAIN_READ, self)
        value = self.value + delta
        if H.on:
            H.watcher.point(PLAIN_WRITE, self)
        self.value = value


class Bitmap:
    """A bit map of one unit, 64 bits wide (a word of shrinker_info_unit's map, for one)."""

    def __init__(self) -> None:
        # An int, not an i64: bit 63 must not be a sign.
        self.word: int = 0

    def __repr__(self) -> str:
        return f"bitmap {self.word:#x}"

    def set_bit(self, bit: i64) -> None:
        """set_bit(): atomic."""
        if H.on:
            H.watcher.point(RMW, self)
        self.word |= 1 << int(bit)

    def clear_bit(self, bit: i64) -> None:
        """clear_bit(): atomic."""
        if H.on:
            H.watcher.point(RMW, self)
        self.word &= ~(1 << int(bit))

    def test_bit(self, bit: i64) -> bool:
        """test_bit()."""
        if H.on:
            H.watcher.point(READ, self)
        return self.word >> int(bit) & 1 != 0

    def snapshot(self) -> int:
        """The word as read at once: what for_each_set_bit() goes by."""
        if H.on:
            H.watcher.point(READ, self)
        return self.word
