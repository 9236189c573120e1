# SPDX-License-Identifier: GPL-2.0-only
"""Probabilistic concurrency testing: random priorities with few changes."""

from __future__ import annotations

from thplab.explorer.checks import all_checks
from thplab.explorer.core_check import Case
from thplab.explorer.core_random import PctEngine, RandomEngine
from thplab.explorer.core_search import once
from thplab.explorer.strategies.random_walk import RandomWalk

__all__ = ["Pct"]


class Pct(RandomWalk):
    """Finds a bug that needs `depth` ordering constraints with a known probability in each run."""

    name = "pct"

    def __init__(self, seed: int = 0, depth: int = 3) -> None:
        super().__init__(seed)
        self.depth = depth

    def engine(self, case: Case) -> RandomEngine:
        """One execution of a random walk says how many steps there are to choose from."""
        steps = int(once(super().engine(case), case).longest)
        return PctEngine(case, all_checks(), self.seed, self.depth, steps)
