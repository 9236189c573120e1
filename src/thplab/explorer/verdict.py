# SPDX-License-Identifier: GPL-2.0-only
"""The result of a search, and how much the search covered."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from thplab.explorer.core_search import Failure, Limits, Tally

__all__ = ["Budget", "Verdict"]


@dataclass(frozen=True)
class Budget:
    """How much a search may spend: executions and seconds; 0 is no limit."""

    executions: int = 0
    seconds: float = 0.0

    def limited(self) -> bool:
        """Whether it ends a search at all."""
        return bool(self.executions or self.seconds)

    def limits(self, done: int = 0) -> Limits:
        """The limits of a search that begins now, after `done` executions."""
        return Limits(
            done + self.executions if self.executions else 0,
            time.monotonic() + self.seconds if self.seconds else 0.0,
        )


@dataclass
class Verdict:
    """A search's result.

    Attributes:
        strategy: its name.
        bound: the highest bound on preemptions that was exhausted; None where that has no meaning, or
            none was.
        executions, steps, cut: as in Tally, over all bounds.
        exhausted: nothing within the bound asked for is left.
        all_schedules: not even the bound left anything out: all schedules were covered.
        failure: the first failure, if any.
        faults: allocation points that were made to fail.
        seen: the distinct final states; None if they were not hashed.
    """

    strategy: str
    bound: int | None = None
    executions: int = 0
    steps: int = 0
    cut: int = 0
    longest: int = 0
    exhausted: bool = False
    all_schedules: bool = False
    failure: Failure | None = None
    faults: int = 0
    seconds: float = 0.0
    by_bound: dict[int, int] = field(default_factory=dict)
    seen: set[object] | None = None
    started: float = field(default_factory=time.monotonic, repr=False, compare=False)

    def note(self, tally: Tally) -> None:
        """The search is over: take what it has counted."""
        self.executions, self.steps = int(tally.executions), int(tally.steps)
        self.cut, self.longest = int(tally.cut), int(tally.longest)
        self.failure = tally.failures[0] if tally.failures else None
        if tally.collect:
            self.seen = set(tally.states)
        self.seconds = time.monotonic() - self.started

    def coverage(self) -> str:
        """What "no failure" is worth, in a few words."""
        if self.all_schedules:
            text = "all schedules"
        elif self.bound is not None:
            text = f"all schedules with up to {self.bound} preemptions"
        elif self.exhausted:
            text = "all that was asked for"
        else:
            text = "not exhausted"
        if self.faults:
            text += f", {self.faults} allocation failures"
        if self.seen is not None:
            text += f", {len(self.seen)} distinct final states"
        return text
