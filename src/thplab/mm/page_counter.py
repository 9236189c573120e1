# SPDX-License-Identifier: GPL-2.0-only
"""Hierarchical page counters and the protection that memory.min and memory.low give (mm/page_counter.c, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from thplab.mm.geometry import PAGE_SIZE

__all__ = ["MEMCG_CHARGE_BATCH", "PAGE_COUNTER_MAX", "PageCounter", "effective_protection"]

MEMCG_CHARGE_BATCH: Final[i64] = 64
PAGE_COUNTER_MAX: Final[i64] = (1 << 63) // PAGE_SIZE


class PageCounter:
    """struct page_counter: usage in base pages, with limits; usage counts in every ancestor too.

    Attributes:
        usage: base pages charged here or below. watermark: the most that they ever were (memory.peak).
        max, high, low, min: in base pages.
        emin, elow: effective protection, of the last calculation.
    """

    def __init__(self, parent: PageCounter | None) -> None:
        self.parent: PageCounter | None = parent
        self.children: list[PageCounter] = []
        self.usage: i64 = 0
        self.watermark: i64 = 0
        self.max: i64 = PAGE_COUNTER_MAX
        self.high: i64 = PAGE_COUNTER_MAX
        self.low: i64 = 0
        self.min: i64 = 0
        self.emin: i64 = 0
        self.elow: i64 = 0
        if parent is not None:
            parent.children.append(self)

    def try_charge(self, nr_pages: i64) -> PageCounter | None:
        """page_counter_try_charge(): None, or the counter whose limit is in the way (nothing is charged then).

        It charges from here upwards and takes back what it has charged, so a charge that an
        ancestor refuses still counts in the watermarks below that ancestor.
        """
        counter: PageCounter | None = self
        while counter is not None:
            if counter.usage + nr_pages > counter.max:
                self._charge_below(counter, nr_pages)
                self.uncharge(nr_pages, counter)
                return counter
            counter = counter.parent
        self._charge_below(None, nr_pages)
        return None

    def charge(self, nr_pages: i64) -> None:
        """page_counter_charge(): whatever the limits."""
        self._charge_below(None, nr_pages)

    def _charge_below(self, end: PageCounter | None, nr_pages: i64) -> None:
        """Charge here and in each ancestor below `end`."""
        counter: PageCounter | None = self
        while counter is not end and counter is not None:
            counter.usage += nr_pages
            counter.watermark = max(counter.watermark, counter.usage)
            counter = counter.parent

    def uncharge(self, nr_pages: i64, end: PageCounter | None = None) -> None:
        """page_counter_uncharge(): here and in each ancestor (below `end`, if there is one)."""
        counter: PageCounter | None = self
        while counter is not end and counter is not None:
            counter.usage -= nr_pages
            assert counter.usage >= 0, "page_counter underflow"
            counter = counter.parent

    def room(self) -> i64:
        """How much may be charged here and in every ancestor before one is over its max or high.

        Over its high already, a cgroup reclaims after each batch of 64 pages.
        """
        room = PAGE_COUNTER_MAX
        counter: PageCounter | None = self
        while counter is not None:
            room = min(room, counter.max - counter.usage)
            if counter.usage <= counter.high:
                room = min(room, counter.high - counter.usage)
            else:
                room = min(room, MEMCG_CHARGE_BATCH)
            counter = counter.parent
        return room

    def margin(self) -> i64:
        """mem_cgroup_margin() (mm/memcontrol.c): how much may still be charged here, ancestors not looked at."""
        return self.max - self.usage if self.max > self.usage else 0

    def calculate_protection(self, root: PageCounter, recursive: bool) -> None:
        """page_counter_calculate_protection(): emin and elow under reclaim that began at `root`.

        Siblings share what their parent is entitled to, in proportion to what they use of their
        own settings. Call from the top down. A counter without usage keeps what it had.

        Args:
            root: where reclaim began.
            recursive: cgroup2 is mounted with memory_recursiveprot.
        """
        parent = self.parent
        if self is root or parent is None or not self.usage:
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
        used = parent.usage
        self.emin = effective_protection(self.usage, used, self.min, parent.emin, mins, recursive)
        self.elow = effective_protection(self.usage, used, self.low, parent.elow, lows, recursive)


def effective_protection(
    usage: i64,
    parent_usage: i64,
    setting: i64,
    parent_effective: i64,
    siblings_protected: i64,
    recursive: bool,
) -> i64:
    """effective_protection(): how much of its usage a cgroup may keep. All but `recursive` in base pages.

    With the mount option memory_recursiveprot the children also share what their parent is entitled to and
    none of them has claimed, in proportion to what each uses beyond its own protection.

    As in 7.3, whose products have 128 bits. 6.12 multiplies in 64 bits, so that it errs once the two factors
    have more than 2^64 together: two cgroups of 16T.
    """
    protected = min(usage, setting)
    if siblings_protected > parent_effective:
        # Over-committed: what the parent has is shared in proportion.
        return _share(protected, parent_effective, siblings_protected)
    if (
        recursive
        and parent_effective > siblings_protected
        and parent_usage > siblings_protected
        and usage > protected
    ):
        unclaimed = parent_effective - siblings_protected
        unprotected = parent_usage - siblings_protected
        protected += _share(unclaimed, min(usage - protected, unprotected), unprotected)
    return protected


def _share(whole: i64, part: i64, parts: i64) -> i64:
    """Whole * part / parts, whose product may need more than 63 bits."""
    return i64(int(whole) * int(part) // int(parts))
