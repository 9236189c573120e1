# SPDX-License-Identifier: GPL-2.0-only
"""All schedules with no preemption, then with one, with two, and so on up to a bound.

The first failure found this way has the fewest preemptions. Each allocation point is made to fail in
turn, one in an execution, with all schedules up to the bound again.
"""

from __future__ import annotations

import time

from thplab.explore.checkpoint import Progress, load, pack, save, unpack
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
        checkpoint: a file to go on from, and to write to when the budget is spent.
        design: named in the checkpoint.
    """

    name = "exhaustive"

    def __init__(
        self,
        bound: int | None = 2,
        *,
        faults: bool = True,
        reduce: bool = True,
        hash_states: bool = False,
        checkpoint: str | None = None,
        design: str = "",
    ) -> None:
        self.bound = bound
        self.faults = faults
        self.reduce = reduce
        self.hash_states = hash_states
        self.checkpoint = checkpoint
        self.design = design

    def search(self, case: Case, budget: Budget) -> Verdict:
        """See Strategy. Raises InputError for a checkpoint that cannot be used."""
        verdict = Verdict(self.name)
        progress = Progress()
        if self.checkpoint is not None:
            progress = load(self.checkpoint, case, self.design, self.bound) or progress
        verdict.executions, verdict.steps, verdict.cut = (
            progress.executions,
            progress.steps,
            progress.cut,
        )
        verdict.by_bound = dict(progress.by_bound)
        if progress.bound:
            verdict.bound = progress.bound - 1
        self._all(case, budget.limits(), verdict, progress, time.monotonic())
        return verdict

    def _all(
        self, case: Case, limits: Limits, verdict: Verdict, progress: Progress, started: float
    ) -> None:
        last = 0 if self.bound is None else self.bound
        while progress.bound <= last:
            bound = None if self.bound is None else progress.bound
            while True:
                plans = _plans(progress.allocations) if self.faults else []
                if progress.fault >= len(plans):
                    break
                fault = (-1, -1) if progress.fault < 0 else plans[progress.fault]
                if not self._one(case, bound, limits, verdict, progress, started, fault):
                    return
                progress.fault += 1
                progress.stack = None
            verdict.faults = len(plans)
            verdict.bound = bound
            if bound is None or not progress.pruned:
                verdict.all_schedules = True
                break
            progress.bound += 1
            progress.fault = -1
            progress.pruned = False
        verdict.exhausted = True

    def _one(
        self,
        case: Case,
        bound: int | None,
        limits: Limits,
        verdict: Verdict,
        progress: Progress,
        started: float,
        fault: tuple[int, int],
    ) -> bool:
        """One bound with one allocation failing, or none. False: something failed, or the budget is spent."""
        engine = make_engine(case, bound, self.reduce)
        engine.fail_lane, engine.fail_nth = fault
        if progress.stack is not None:
            unpack(engine, progress.stack)
        tally = Tally(self.hash_states)
        spent = verdict.executions - progress.executions
        left = limits.executions - spent if limits.executions else 0
        if not limits.executions or left > 0:
            self.run_bound(engine, case, Limits(left, limits.deadline), tally)
        engine.close()
        before = verdict.executions
        note(verdict, tally, started)
        key = -1 if bound is None else bound
        verdict.by_bound[key] = verdict.by_bound.get(key, 0) + verdict.executions - before
        for lane, count in tally.allocations.items():
            progress.allocations[lane] = max(count, progress.allocations.get(lane, 0))
        progress.pruned = progress.pruned or tally.pruned
        if tally.failures:
            complain_about_the_case(case, tally.failures[0])
            return False
        if tally.exhausted:
            return True
        if self.checkpoint is not None:
            if tally.executions:
                progress.stack = pack(engine)
            progress.executions, progress.steps = verdict.executions, verdict.steps
            progress.cut, progress.by_bound = verdict.cut, verdict.by_bound
            save(self.checkpoint, case, self.design, self.bound, progress)
        return False

    def run_bound(self, engine: Reduction, case: Case, limits: Limits, tally: Tally) -> None:
        """All that the engine has not tried."""
        search(engine, case, limits, tally)


def _plans(allocations: dict[int, int]) -> list[tuple[int, int]]:
    """Each allocation point seen so far: (lane, number)."""
    return [(lane, nth) for lane, count in sorted(allocations.items()) for nth in range(count)]
