# SPDX-License-Identifier: GPL-2.0-only
"""All schedules with no preemption, then with one, with two, and so on up to a bound.

The first failure found this way has the fewest preemptions. Each allocation point is made to fail in
turn, one in an execution, with all schedules up to the bound again.
"""

from __future__ import annotations

import time

from thplab.explore.checks import all_checks
from thplab.explore.core_check import Case
from thplab.explore.core_reduce import NO_BOUND, Reduction
from thplab.explore.core_search import Limits, Tally, search
from thplab.explore.strategies import complain_about_the_case, note
from thplab.explore.verdict import Budget, Verdict

__all__ = ["Exhaustive", "make_engine"]


def make_engine(case: Case, bound: int | None, reduce: bool = True) -> Reduction:
    """An engine with all checks."""
    limit = NO_BOUND if bound is None else bound
    engine = Reduction(case.cpus, case.handlers, all_checks(), case.max_steps, limit)
    engine.reduce = reduce
    return engine


class Exhaustive:
    """Iterative preemption bounding, with reduction.

    Args:
        bound: the highest number of preemptions; None for any number, at once.
        faults: whether allocation points are made to fail as well.
        reduce: False runs every schedule.
        hash_states: collect the final states.
    """

    name = "exhaustive"

    def __init__(
        self,
        bound: int | None = 2,
        *,
        faults: bool = True,
        reduce: bool = True,
        hash_states: bool = False,
    ) -> None:
        self.bound = bound
        self.faults = faults
        self.reduce = reduce
        self.hash_states = hash_states

    def search(self, case: Case, budget: Budget) -> Verdict:
        """See Strategy."""
        verdict = Verdict(self.name)
        started = time.monotonic()
        limits = budget.limits()
        bounds: list[int | None] = [None] if self.bound is None else list(range(self.bound + 1))
        allocations: dict[int, int] = {}
        for bound in bounds:
            tally = self._one(case, bound, limits, verdict, started, (-1, -1))
            for lane, count in tally.allocations.items():
                allocations[lane] = max(count, allocations.get(lane, 0))
            if verdict.failure is not None or not tally.exhausted:
                return verdict
            if self.faults:
                plans = [
                    (lane, nth) for lane, count in sorted(allocations.items()) for nth in range(count)
                ]
                verdict.faults = len(plans)
                for plan in plans:
                    tally = self._one(case, bound, limits, verdict, started, plan)
                    if verdict.failure is not None or not tally.exhausted:
                        return verdict
            if bound is None or not tally.pruned:
                verdict.all_schedules = True
                verdict.exhausted = True
                verdict.bound = bound
                return verdict
            verdict.bound = bound
        verdict.exhausted = True
        return verdict

    def _one(
        self,
        case: Case,
        bound: int | None,
        limits: Limits,
        verdict: Verdict,
        started: float,
        fault: tuple[int, int],
    ) -> Tally:
        engine = make_engine(case, bound, self.reduce)
        engine.fail_lane, engine.fail_nth = fault
        tally = Tally(self.hash_states)
        left = Limits(limits.executions and limits.executions - verdict.executions, limits.deadline)
        if limits.executions and left.executions <= 0:
            engine.close()
            return tally
        search(engine, case, left, tally)
        engine.close()
        before = verdict.executions
        note(verdict, tally, started)
        key = -1 if bound is None else bound
        verdict.by_bound[key] = verdict.by_bound.get(key, 0) + verdict.executions - before
        if tally.failures:
            complain_about_the_case(case, tally.failures[0])
        return tally
