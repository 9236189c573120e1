# SPDX-License-Identifier: GPL-2.0-only
"""All schedules with no preemption, then with one, with two, and so on up to a bound.

The first failure found this way has the fewest preemptions. Each allocation point is made to fail in
turn, one in an execution, with all schedules up to the bound again.
"""

from __future__ import annotations

from collections.abc import Iterator

from thplab.explorer.checkpoint import Progress, load, save, unpack
from thplab.explorer.checks import all_checks
from thplab.explorer.core_check import Case
from thplab.explorer.core_reduce import NO_BOUND, Reduction
from thplab.explorer.core_search import Tally
from thplab.explorer.strategies import Strategy
from thplab.explorer.verdict import Budget, Verdict

__all__ = ["Exhaustive", "make_engine"]


def make_engine(
    case: Case, bound: int | None, fault: tuple[int, int], stack: list[list[int]] | None = None
) -> Reduction:
    """An engine with all checks.

    Args:
        bound: the highest number of preemptions; None for any.
        fault: the lane and the number of the allocation that fails, or (-1, -1).
        stack: where an earlier search stood.
    """
    engine = Reduction(case, all_checks(), NO_BOUND if bound is None else bound)
    engine.fail_lane, engine.fail_nth = fault
    if stack is not None:
        unpack(engine, stack)
    return engine


class Exhaustive(Strategy):
    """Iterative preemption bounding, with reduction.

    Args:
        bound: the highest number of preemptions; None for any number, at once.
        hash_states: collect the final states.
        checkpoint: a file to go on from, and to write to when the budget is spent.
    """

    name = "exhaustive"

    def __init__(
        self, bound: int | None = 2, *, hash_states: bool = False, checkpoint: str | None = None
    ) -> None:
        self.bound = bound
        self.hash_states = hash_states
        self.checkpoint = checkpoint

    def search(self, case: Case, budget: Budget) -> Verdict:
        """See Strategy. Raises InputError for a checkpoint that cannot be used."""
        verdict, tally = Verdict(self.name), Tally(self.hash_states)
        progress = Progress()
        if self.checkpoint is not None:
            progress = load(self.checkpoint, case, self.bound) or progress
        limits = budget.limits(progress.executions)
        progress.resume(tally)
        verdict.by_bound = progress.by_bound
        verdict.bound = progress.bound - 1 if progress.bound else None
        verdict.exhausted = True
        for engine in self._engines(case, progress, tally, verdict):
            before = tally.executions
            go_on = self.run(engine, case, limits, tally)
            key = -1 if self.bound is None else progress.bound
            progress.by_bound[key] = progress.by_bound.get(key, 0) + int(tally.executions - before)
            if not go_on:
                verdict.exhausted = False
                if self.checkpoint is not None and not tally.failures:
                    progress.note(tally, engine)
                    save(self.checkpoint, case, self.bound, progress)
                break
        verdict.note(tally)
        return verdict

    def _engines(
        self, case: Case, progress: Progress, tally: Tally, verdict: Verdict
    ) -> Iterator[Reduction]:
        """One for each bound without a failing allocation, then one for each allocation seen so far.

        The next one is asked for when the one before has nothing left.
        """
        while True:
            bound = None if self.bound is None else progress.bound
            while progress.fault < len(faults := _faults(tally)):
                fault = (-1, -1) if progress.fault < 0 else faults[progress.fault]
                yield make_engine(case, bound, fault, progress.stack)
                progress.fault += 1
                progress.stack = None
            verdict.faults = len(faults)
            verdict.bound = bound
            verdict.all_schedules = bound is None or not tally.pruned
            if verdict.all_schedules or bound == self.bound:
                return
            progress.bound += 1
            progress.fault = -1
            tally.pruned = False


def _faults(tally: Tally) -> list[tuple[int, int]]:
    """Each allocation point seen so far: (lane, number)."""
    counts = sorted(tally.allocations.items())
    return [(lane, nth) for lane, count in counts for nth in range(count)]
