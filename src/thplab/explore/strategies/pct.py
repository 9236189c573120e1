# SPDX-License-Identifier: GPL-2.0-only
"""Probabilistic concurrency testing: random priorities with few changes."""

from __future__ import annotations

from thplab.explore.checks import all_checks
from thplab.explore.core_check import Case
from thplab.explore.core_random import PctEngine, RandomEngine
from thplab.explore.core_search import Tally, execute
from thplab.explore.strategies.random_walk import RandomWalk

__all__ = ["Pct"]


class Pct(RandomWalk):
    """Finds a bug that needs `depth` ordering constraints with a known probability in each run."""

    name = "pct"

    def __init__(self, seed: int = 0, depth: int = 3) -> None:
        super().__init__(seed)
        self.depth = depth

    def engine(self, case: Case) -> RandomEngine:
        """One execution by itself says how many steps there are to choose from."""
        measured = RandomWalk(self.seed).engine(case)
        tally = Tally()
        measured.restart(0)
        execute(measured, case, tally)
        measured.close()
        return PctEngine(
            case.cpus,
            case.handlers,
            all_checks(),
            case.max_steps,
            self.seed,
            self.depth,
            int(tally.longest),
        )
