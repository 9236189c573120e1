# SPDX-License-Identifier: GPL-2.0-only
"""Ways to choose schedules, one file each behind one interface."""

from __future__ import annotations

import time
from typing import Protocol

from thplab.errors import DesignError
from thplab.explore.core_check import Case
from thplab.explore.core_search import Failure, Tally
from thplab.explore.core_step import NotDeterministic
from thplab.explore.verdict import Budget, Verdict

__all__ = ["Strategy", "complain_about_the_case", "note"]


class Strategy(Protocol):
    """A way to search a case."""

    name: str

    def search(self, case: Case, budget: Budget) -> Verdict:
        """Run the case until something fails, nothing is left, or the budget is spent.

        Raises:
            DesignError: the case is not deterministic, or the code raised what is no report of a rule.
        """
        ...


def note(verdict: Verdict, tally: Tally, started: float) -> None:
    """Add what a tally has seen to the verdict."""
    verdict.executions += int(tally.executions)
    verdict.steps += int(tally.steps)
    verdict.cut += int(tally.cut)
    verdict.longest = max(verdict.longest, int(tally.longest))
    if tally.collect:
        verdict.seen = (verdict.seen or set()) | tally.states
    verdict.seconds = time.monotonic() - started
    if tally.failures and verdict.failure is None:
        verdict.failure = tally.failures[0]


def complain_about_the_case(case: Case, failure: Failure) -> None:
    """Tell a failure of the code that is searched from code that cannot be searched.

    Raises:
        DesignError: it is the latter.
    """
    error = failure.error
    if isinstance(error, NotDeterministic):
        raise DesignError(
            f"case {case.name}: it is not deterministic: {error}; it must not read a clock, use random "
            "numbers, or iterate a set of objects"
        )
    if not failure.check:
        raise DesignError(
            f"case {case.name}: the code raised {type(error).__name__}: {error}, at step "
            f"{len(failure.schedule)}, which is no report of a rule"
        ) from error
