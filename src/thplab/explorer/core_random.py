# SPDX-License-Identifier: GPL-2.0-only
"""Random schedules: a random walk, and priorities with few changes (PCT).

PCT (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010): each lane gets a random priority, the
highest that can go on runs, and at d - 1 random steps the running lane's becomes the lowest. One run
finds a bug of depth d with a probability of at least 1 / (n k^(d-1)), for n lanes and k steps.
"""

from __future__ import annotations

from mypy_extensions import i64, mypyc_attr

from thplab.explorer.core import Engine
from thplab.explorer.core_check import Case, Check

__all__ = ["Dice", "PctEngine", "RandomEngine"]

_MASK = (1 << 62) - 1


class Dice:
    """Random numbers that are the same everywhere: a linear congruential generator, high bits used."""

    def __init__(self, seed: int) -> None:
        self.state: int = (seed * 2862933555777941757 + 3037000493) & _MASK

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (self.state >> 24) % limit


@mypyc_attr(allow_interpreted_subclasses=True)
class RandomEngine(Engine):
    """At each step any of the lanes that can go on, with equal chances."""

    def __init__(self, case: Case, checks: list[Check], seed: int) -> None:
        super().__init__(case, checks)
        self.driven = True
        self.dice: Dice = Dice(seed)

    def advance(self) -> bool:
        """There is always another execution."""
        return True

    def pick(self, step: i64, previous: i64, enabled: i64) -> i64:
        """One of the enabled lanes."""
        choice = self.dice.below(int(enabled).bit_count())
        number: i64 = 0
        while True:
            if enabled >> number & 1:
                if choice == 0:
                    return number
                choice -= 1
            number += 1


@mypyc_attr(allow_interpreted_subclasses=True)
class PctEngine(RandomEngine):
    """Random priorities; `depth` - 1 changes among the first `length` steps."""

    def __init__(self, case: Case, checks: list[Check], seed: int, depth: int, length: int) -> None:
        super().__init__(case, checks, seed)
        self.depth: int = depth
        self.length: int = length
        self.priority: list[int] = []
        self.changes: list[int] = []
        self.advance()

    def advance(self) -> bool:
        """New priorities and new places to change them."""
        lanes = len(self.lanes)
        order = list(range(lanes))
        for last in range(lanes - 1, 0, -1):
            other = self.dice.below(last + 1)
            order[last], order[other] = order[other], order[last]
        # Those that are changed go below all others: the later, the lower.
        self.priority = [self.depth + place for place in order]
        self.changes = [self.dice.below(max(self.length, 1)) for _ in range(self.depth - 1)]
        return True

    def pick(self, step: i64, previous: i64, enabled: i64) -> i64:
        """The highest priority that can go on."""
        if previous >= 0:
            for place, at in enumerate(self.changes):
                if at == step:
                    self.priority[previous] = self.depth - 1 - place
        best: i64 = -1
        for number in range(len(self.lanes)):
            if enabled >> number & 1 and (best < 0 or self.priority[number] > self.priority[best]):
                best = number
        return best
