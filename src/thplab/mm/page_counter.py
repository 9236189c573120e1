# SPDX-License-Identifier: GPL-2.0-only
"""Hierarchical page counters and the protection that memory.min and memory.low give (mm/page_counter.c, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from thplab.mm.geometry import PAGE_SIZE

__all__ = ["PAGE_COUNTER_MAX", "PageCounter", "effective_protection"]

PAGE_COUNTER_MAX: Final[i64] = (1 << 63) // PAGE_SIZE


class PageCounter:
    """struct page_counter: usage in base pages, with limits; usage counts in every ancestor too.

    Attributes:
        usage: base pages charged here or below.
        max, high, low, min: in base pages.
        emin, elow: effective protection, of the last calculation.
    """

    def __init__(self, parent: PageCounter | None) -> None:
        self.parent: PageCounter | None = parent
        self.children: list[PageCounter] = []
        self.usage: i64 = 0
        self.max: i64 = PAGE_COUNTER_MAX
        self.high: i64 = PAGE_COUNTER_MAX
        self.low: i64 = 0
        self.min: i64 = 0
        self.emin: i64 = 0
        self.elow: i64 = 0
        if parent is not None:
            parent.children.append(self)

    def try_charge(self, nr_pages: i64) -> PageCounter | None:
        """page_counter_try_charge(): None, or the counter whose limit is in the way (nothing is charged then)."""
        counter: PageCounter | None = self
        while counter is not None:
            if counter.usage + nr_pages > counter.max:
                return counter
            counter = counter.parent
        self.charge(nr_pages)
        return None

    def charge(self, nr_pages: i64) -> None:
        """page_counter_charge(): whatever the limits."""
        counter: PageCounter | None = self
        while counter is not None:
            counter.usage += nr_pages
            counter = counter.parent

    def uncharge(self, nr_pages: i64) -> None:
        """page_counter_uncharge()."""
        counter: PageCounter | None = self
        while counter is not None:
            counter.usage -= nr_pages
            assert counter.usage >= 0, "page_counter underflow"
            counter = counter.parent

    def room(self) -> i64:
        """How much may be charged here and in every ancestor before one is over its max or high."""
        room = PAGE_COUNTER_MAX
        counter: PageCounter | None = self
        while counter is not None:
            room = min(room, counter.max - counter.usage)
            if counter.usage <= counter.high:
                room = min(room, counter.high - counter.usage)
            counter = counter.parent
        return room

    def margin(self) -> i64:
        """mem_cgroup_margin() (mm/memcontrol.c): how much may still be charged here, ancestors not looked at."""
        return self.max - self.usage if self.max > self.usage else 0

    def calculate_protection(self, root: PageCounter) -> None:
        """page_counter_calculate_protection(): emin and elow under reclaim that began at `root`.

        Siblings share what their parent is entitled to, in proportion to what they use of their
        own settings. Call from the top down.
        """
        parent = self.parent
        if self is root or parent is None:
            return
        if parent is root:
            # The first level below the reclaim root has what it was set to.
            self.emin = self.min
            self.elow = self.low
            return
        mins: i64 = 0
        lows: i64 = 0
        for child in parent.children:
            mins += min(child.usage, child.min)
            lows += min(child.usage, child.low)
        self.emin = effective_protection(self.usage, self.min, parent.emin, mins)
        self.elow = effective_protection(self.usage, self.low, parent.elow, lows)


def effective_protection(
    usage: i64, setting: i64, parent_effective: i64, siblings_protected: i64
) -> i64:
    """effective_protection(): without the memory_recursiveprot mount option. All in base pages."""
    protected = min(usage, setting)
    if siblings_protected > parent_effective:
        # Over-committed: what the parent has is shared in proportion.
        # The product of two large hosts' pages needs more than 63 bits.
        return i64(int(protected) * int(parent_effective) // int(siblings_protected))
    return protected
