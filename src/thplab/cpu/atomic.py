# SPDX-License-Identifier: GPL-2.0-only
"""Atomic counters and bit maps (include/linux/bitops.h, 7.2)."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.ops import ADD, PLAIN_READ, PLAIN_WRITE, READ, RMW, WRITE

__all__ = ["AtomicLong", "Bitmap"]


class AtomicLong:
    """atomic_long_t: a signed 64-bit counter."""

    def __init__(self, value: i64 = 0) -> None:
        self.value: i64 = value

    def __repr__(self) -> str:
        return f"atomic {self.value}"

    def read(self) -> i64:
        """atomic_long_read() (include/linux/atomic/atomic-instrumented.h)."""
        if H.on:
            H.watcher.point(READ, self)
        return self.value

    def set(self, value: i64) -> None:
        """atomic_long_set() (include/linux/atomic/atomic-instrumented.h)."""
        if H.on:
            H.watcher.point(WRITE, self)
        self.value = value

    def add(self, delta: i64) -> None:
        """atomic_long_add(), atomic_long_sub() (include/linux/atomic/atomic-instrumented.h): no result."""
        if H.on:
            H.watcher.point(ADD, self)
        self.value += delta

    def add_return(self, delta: i64) -> i64:
        """atomic_long_add_return() (include/linux/atomic/atomic-instrumented.h): the new value."""
        if H.on:
            H.watcher.point(RMW, self)
        self.value += delta
        return self.value

    def xchg(self, value: i64) -> i64:
        """atomic_long_xchg() (include/linux/atomic/atomic-instrumented.h): the old value."""
        if H.on:
            H.watcher.point(RMW, self)
        old = self.value
        self.value = value
        return old

    def cmpxchg(self, old: i64, new: i64) -> i64:
        """atomic_long_cmpxchg() (include/linux/atomic/atomic-instrumented.h): stores `new` if the value is
        `old`; returns what was there.
        """
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


def _mask(bit: i64) -> i64:
    # Compiled, a literal 1 is an int of C with 32 bits: the wide shift must begin with a variable.
    odd = bit & 1
    mask = i64(1) << odd
    return mask << (bit - odd)


class Bitmap:
    """A bit map of one unit, 64 bits wide (the map of shrinker_info_unit, for one).

    Bit 63 is the sign where the word is a machine word: look at bits with `>> bit & 1` only.
    """

    def __init__(self) -> None:
        self.word: i64 = 0

    def __repr__(self) -> str:
        return "bitmap {" + ", ".join(str(bit) for bit in range(64) if self.word >> bit & 1) + "}"

    def set_bit(self, bit: i64) -> None:
        """set_bit() (include/asm-generic/bitops/instrumented-atomic.h): atomic."""
        if H.on:
            H.watcher.point(RMW, self)
        self.word |= _mask(bit)

    def clear_bit(self, bit: i64) -> None:
        """clear_bit() (include/asm-generic/bitops/instrumented-atomic.h): atomic."""
        if H.on:
            H.watcher.point(RMW, self)
        self.word &= ~_mask(bit)

    def test_bit(self, bit: i64) -> bool:
        """test_bit()."""
        if H.on:
            H.watcher.point(READ, self)
        return (self.word >> bit) & 1 != 0

    def find_next_bit(self, bit: i64) -> i64:
        """find_next_bit() (include/linux/find.h): the first set bit at `bit` or above, of the word as it is now; 64
        if there is none.
        """
        if bit >= 64:
            return 64
        if H.on:
            H.watcher.point(READ, self)
        rest = self.word >> bit
        if rest == 0:
            return 64
        while not rest & 1:
            rest >>= 1
            bit += 1
        return bit

    def snapshot(self) -> i64:
        """The word as read at once."""
        if H.on:
            H.watcher.point(READ, self)
        return self.word
