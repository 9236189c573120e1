# SPDX-License-Identifier: GPL-2.0-only
"""A random walk over the schedules."""

from __future__ import annotations

import time

from thplab.explore.checks import all_checks
from thplab.explore.core_check import Case
from thplab.explore.core_random import RandomEngine
from thplab.explore.core_search import Tally, execute
from thplab.explore.strategies import complain_about_the_case, note
from thplab.explore.verdict import Budget, Verdict

__all__ = ["RandomWalk"]

DEFAULT_EXECUTIONS = 10_000


class RandomWalk:
    """At each step any lane that can go on. The same seed walks the same way."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def engine(self, case: Case) -> RandomEngine:
        """The engine that decides."""
        return RandomEngine(case.cpus, case.handlers, all_checks(), case.max_steps, self.seed)

    def search(self, case: Case, budget: Budget) -> Verdict:
        """See Strategy. Without a budget, 10000 executions."""
        verdict = Verdict(self.name)
        started = time.monotonic()
        if not budget.executions and not budget.seconds:
            budget = Budget(DEFAULT_EXECUTIONS)
        limits = budget.limits()
        engine = self.engine(case)
        tally = Tally()
        while tally.wanted():
            engine.restart(int(tally.executions))
            execute(engine, case, tally)
            if limits.reached(tally.executions):
                break
        engine.close()
        note(verdict, tally, started)
        if tally.failures:
            complain_about_the_case(case, tally.failures[0])
        return verdict
