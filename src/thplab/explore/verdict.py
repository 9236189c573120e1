# SPDX-License-Identifier: GPL-2.0-only
"""What a search came to, and how much it covered."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from thplab.explore.core_search import Failure, Limits

__all__ = ["Budget", "Verdict"]


@dataclass(frozen=True)
class Budget:
    """How much a search may spend: executions and seconds; 0 is no limit."""

    executions: int = 0
    seconds: float = 0.0

    def limits(self) -> Limits:
        """From now on."""
        return Limits(self.executions, time.monotonic() + self.seconds if self.seconds else 0.0)


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
