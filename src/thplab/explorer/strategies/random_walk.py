# SPDX-License-Identifier: GPL-2.0-only
"""A random walk over the schedules."""

from __future__ import annotations

from thplab.explorer.checks import all_checks
from thplab.explorer.core_check import Case
from thplab.explorer.core_random import RandomEngine
from thplab.explorer.strategies import Strategy
from thplab.explorer.verdict import Budget, Verdict

__all__ = ["RandomWalk"]

DEFAULT_EXECUTIONS = 10_000


class RandomWalk(Strategy):
    """At each step any lane that can go on. The same seed walks the same way."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def engine(self, case: Case) -> RandomEngine:
        """An engine that rolls dice, without end."""
        return RandomEngine(case, all_checks(), self.seed)

    def search(self, case: Case, budget: Budget) -> Verdict:
        """See Strategy. Without a budget, 10000 executions."""
        return super().search(case, budget if budget.limited() else Budget(DEFAULT_EXECUTIONS))
