# SPDX-License-Identifier: GPL-2.0-only
"""From the first failing schedule to the shortest: fewest preemptions, then fewest steps.

First the bounds below that of the failure are searched, then the failure's own, for all its failing
schedules; then runs of steps are taken out of the best one as long as it still fails in the same way.
"""

from __future__ import annotations

from thplab.explorer.checks import all_checks
from thplab.explorer.core import Engine
from thplab.explorer.core_check import Case
from thplab.explorer.core_search import Failure, Tally, once, search
from thplab.explorer.strategies.exhaustive import make_engine
from thplab.explorer.verdict import Budget

__all__ = ["blocks", "shortest"]

SEARCH = Budget(executions=20_000, seconds=5.0)


def blocks(schedule: list[int]) -> list[tuple[int, int]]:
    """The uninterrupted runs of a schedule: (lane, steps)."""
    found: list[tuple[int, int]] = []
    for lane in schedule:
        if found and found[-1][0] == lane:
            found[-1] = (lane, found[-1][1] + 1)
        else:
            found.append((lane, 1))
    return found


def _size(failure: Failure) -> tuple[int, int, int]:
    return failure.preemptions, len(failure.schedule), len(blocks(failure.schedule))


def shortest(case: Case, failure: Failure, budget: Budget = SEARCH) -> Failure:
    """The shortest execution of the case that the same check reports."""
    best = failure
    limits = budget.limits()
    for bound in range(failure.preemptions + 1):
        engine = make_engine(case, bound, (failure.fail_lane, failure.fail_nth))
        tally = Tally(every=True)
        search(engine, case, limits, tally)
        engine.close()
        alike = [found for found in tally.failures if found.check == failure.check]
        if alike:
            best = min([best, *alike], key=_size)
            break
    return _without_needless_steps(case, best)


def _without_needless_steps(case: Case, failure: Failure) -> Failure:
    """Take runs out, whole or from their end, while the same check still fails."""
    best = failure
    improved = True
    while improved:
        improved = False
        runs = blocks(best.schedule)
        for position in range(len(runs)):
            lane, steps = runs[position]
            for kept in (0, steps // 2, steps - 1):
                shorter = [*runs[:position], (lane, kept), *runs[position + 1 :]]
                candidate = _try(case, best, shorter)
                if candidate is not None and _size(candidate) < _size(best):
                    best = candidate
                    improved = True
                    break
            if improved:
                break
    return best


def _try(case: Case, like: Failure, runs: list[tuple[int, int]]) -> Failure | None:
    engine = Engine(case, all_checks())
    engine.fail_lane, engine.fail_nth = like.fail_lane, like.fail_nth
    engine.plan([lane for lane, steps in runs for _ in range(steps)])
    return next((found for found in once(engine, case).failures if found.check == like.check), None)
