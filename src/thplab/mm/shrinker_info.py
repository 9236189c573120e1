# SPDX-License-Identifier: GPL-2.0-only
"""What a cgroup knows of the shrinkers on one node: bits and deferred counts (include/linux/shrinker.h, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from thplab.cpu.atomic import Bitmap
from thplab.cpu.hook import H
from thplab.cpu.ops import ADD, RMW
from thplab.cpu.rcu import RcuHead

__all__ = ["SHRINKER_UNIT_BITS", "ShrinkerInfo", "ShrinkerUnit"]

SHRINKER_UNIT_BITS: Final[i64] = 64


class ShrinkerUnit(Bitmap):
    """struct shrinker_info_unit: the bits (it is the map itself) and deferred counts of 64 shrinker ids."""

    def __init__(self) -> None:
        super().__init__()
        self.nr_deferred: list[int] = [0] * int(SHRINKER_UNIT_BITS)

    def xchg_deferred(self, offset: i64) -> i64:
        """xchg_nr_deferred_memcg() (mm/shrinker.c): take the deferred count, leaving 0."""
        if H.on:
            H.watcher.point(RMW, self)
        count = self.nr_deferred[offset]
        self.nr_deferred[offset] = 0
        return count

    def add_deferred(self, offset: i64, count: i64) -> None:
        """add_nr_deferred_memcg() (mm/shrinker.c): add to the deferred count."""
        if H.on:
            H.watcher.point(ADD, self)
        self.nr_deferred[offset] += count


class ShrinkerInfo(RcuHead):
    """struct shrinker_info: one for each cgroup and node; replaced by a larger one when ids run out.

    Attributes:
        map_nr_max: ids below this have a bit.
        unit: shared by the old and the new one while it is replaced.
        first: unit[0], where nearly every id is: two cache lines nearer.
    """

    def __init__(self, map_nr_max: i64, unit: list[ShrinkerUnit]) -> None:
        self.map_nr_max: i64 = map_nr_max
        self.unit: list[ShrinkerUnit] = unit
        self.first: ShrinkerUnit | None = unit[0] if unit else None
        self.freed: bool = False

    def func(self) -> None:
        """What kvfree_rcu() of the outgrown one leads to."""
        self.freed = True

    def unit_of(self, shrinker_id: i64) -> ShrinkerUnit:
        """The unit that has this id's bit; the id is below map_nr_max."""
        first = self.first
        if shrinker_id < SHRINKER_UNIT_BITS and first is not None:
            return first
        return self.unit[shrinker_id // SHRINKER_UNIT_BITS]
