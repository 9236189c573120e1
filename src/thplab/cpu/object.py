# SPDX-License-Identifier: GPL-2.0-only
"""An object with a reference count and a word of flags, that can be on a list.

The kernel embeds these in its structures (struct page has all three); here they are inherited, for
the same reason: one block of memory for each folio.
The kernel has these functions for each kind of object; the names are those of folios
(include/linux/page_ref.h, 7.2).
"""

from __future__ import annotations

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import RefcountBug, UseAfterFree
from thplab.cpu.hook import H
from thplab.cpu.list_head import LIST_POISON, ListHead
from thplab.cpu.ops import (
    FREE,
    PLAIN_READ,
    PLAIN_WRITE,
    READ,
    REF_FREEZE,
    REF_GET,
    REF_PUT,
    RMW,
)

__all__ = ["KernelObject"]


@mypyc_attr(acyclic=True)
class KernelObject(ListHead):
    """A reference count, a flag word and list links.

    Attributes:
        refcount: references; 0 while frozen or after the last was dropped.
        flags: the flag word; bits are given as masks (1 << PG_something).
    """

    def __init__(self, refcount: i64) -> None:
        super().__init__()
        self.refcount: i64 = refcount
        self.flags: i64 = 0

    # References

    def get(self, count: i64 = 1) -> None:
        """folio_ref_add(): folio_get() of any number; the caller holds a reference already.

        Raises:
            RefcountBug: nobody holds one.
        """
        if H.on:
            H.watcher.point(REF_GET, self)
        if self.refcount <= 0:
            raise RefcountBug(f"refcount_t: addition on {self.refcount}; use-after-free: {self!r}")
        self.refcount += count
        if H.on:
            H.watcher.done(REF_GET, self, True)

    def try_get(self) -> bool:
        """folio_try_get(): take a reference unless there is none left (or they are frozen)."""
        if H.on:
            H.watcher.point(REF_GET, self)
        got = self.refcount > 0
        if got:
            self.refcount += 1
        if H.on:
            H.watcher.done(REF_GET, self, got)
        return got

    def put_testzero(self, count: i64 = 1) -> bool:
        """folio_ref_sub_and_test(): folio_put_testzero() of any number; whether that was the last.

        Raises:
            RefcountBug: fewer references than that.
        """
        if H.on:
            H.watcher.point(REF_PUT, self)
        if self.refcount < count:
            raise RefcountBug(f"refcount_t: underflow ({self.refcount} - {count}): {self!r}")
        self.refcount -= count
        last = self.refcount == 0
        if H.on:
            H.watcher.done(REF_PUT, self, last)
        return last

    def ref_freeze(self, expected: i64) -> bool:
        """folio_ref_freeze(): to 0 if the count is exactly `expected`; nobody can get one then."""
        if H.on:
            H.watcher.point(REF_FREEZE, self)
        frozen = self.refcount == expected
        if frozen:
            self.refcount = 0
        if H.on:
            H.watcher.done(REF_FREEZE, self, frozen)
        return frozen

    def ref_unfreeze(self, count: i64) -> None:
        """folio_ref_unfreeze()."""
        if H.on:
            H.watcher.point(REF_FREEZE, self)
        if self.refcount:
            raise RefcountBug(f"unfreeze of a count of {self.refcount}: {self!r}")
        self.refcount = count
        if H.on:
            H.watcher.done(REF_FREEZE, self, False)

    def ref_count(self) -> i64:
        """folio_ref_count()."""
        if H.on:
            H.watcher.point(READ, self)
        return self.refcount

    # Flags

    def test_flag(self, mask: i64) -> bool:
        """test_bit() (include/linux/bitops.h): on the flag word."""
        if H.on:
            H.watcher.point(READ, self)
        return (self.flags & mask) != 0

    def set_flag(self, mask: i64) -> None:
        """set_bit() (include/asm-generic/bitops/instrumented-atomic.h): atomic."""
        if H.on:
            H.watcher.point(RMW, self)
        self.flags |= mask

    def clear_flag(self, mask: i64) -> None:
        """clear_bit() (include/asm-generic/bitops/instrumented-atomic.h): atomic."""
        if H.on:
            H.watcher.point(RMW, self)
        self.flags &= ~mask

    def test_and_set_flag(self, mask: i64) -> bool:
        """test_and_set_bit() (include/asm-generic/bitops/instrumented-atomic.h): whether it was set before."""
        if H.on:
            H.watcher.point(RMW, self)
        was = (self.flags & mask) != 0
        self.flags |= mask
        return was

    def plain_set_flag(self, mask: i64) -> None:
        """__set_bit() (include/linux/bitops.h): a load and a store, between which others may change the word."""
        if H.on:
            H.watcher.point(PLAIN_READ, self)
        word = self.flags
        if H.on:
            H.watcher.point(PLAIN_WRITE, self)
        self.flags = word | mask

    def plain_clear_flag(self, mask: i64) -> None:
        """__clear_bit() (include/linux/bitops.h)."""
        if H.on:
            H.watcher.point(PLAIN_READ, self)
        word = self.flags
        if H.on:
            H.watcher.point(PLAIN_WRITE, self)
        self.flags = word & ~mask

    # Lifetime

    def poison(self) -> None:
        """The object is freed: links are poisoned, so that a later use of them is found.

        Raises:
            UseAfterFree: it was freed before.
        """
        if self.next is LIST_POISON:
            raise UseAfterFree(f"double free of {self!r}")
        if self.next is not None:
            raise UseAfterFree(f"freed while still on a list: {self!r}")
        self.next = LIST_POISON
        self.prev = LIST_POISON
        if H.on:
            H.watcher.done(FREE, self, None)

    def is_freed(self) -> bool:
        """Whether :meth:`poison` was called."""
        return self.next is LIST_POISON
