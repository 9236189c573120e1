# SPDX-License-Identifier: GPL-2.0-only
"""A plain load and its store, between which another CPU updates the word: that update is lost (KCSAN)."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.ops import ADD, PLAIN_READ, PLAIN_WRITE, RMW, WRITE
from thplab.explorer.core_check import Check, CheckFailed

__all__ = ["PlainRmw"]


class PlainRmw(Check):
    """Non-atomic read-modify-write operations, such as __set_bit(), must meet no other update."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "plain rmw"
        self.loads: dict[tuple[int, object], bool] = {}

    def point_mask(self) -> i64:
        """Plain loads and stores, and whatever updates a word."""
        return (1 << PLAIN_READ) | (1 << PLAIN_WRITE) | (1 << RMW) | (1 << ADD) | (1 << WRITE)

    def begin(self) -> None:
        """No load without its store."""
        if self.loads:
            self.loads = {}

    def point(self, lane: i64, op: i64, obj: object) -> None:
        """Note loads; an update in between spoils those of others."""
        me = int(lane)
        if op == PLAIN_READ:
            self.loads[me, obj] = False
            return
        spoiled = self.loads.pop((me, obj), False) if op == PLAIN_WRITE else False
        if spoiled:
            raise CheckFailed(
                self.name,
                f"data-race: the plain store to {obj!r} by {H.cpu!r} undoes an update made since its load",
            )
        for other, word in self.loads:
            if word is obj and other != me:
                self.loads[other, word] = True
