# SPDX-License-Identifier: GPL-2.0-only
"""Ways to choose schedules, one file each. All share the loop of core_search; what differs is the engine."""

from __future__ import annotations

from thplab.errors import DesignError, InputError
from thplab.explorer.core import Engine
from thplab.explorer.core_check import Case
from thplab.explorer.core_search import Failure, Limits, Tally, search
from thplab.explorer.core_step import NotDeterministic, ReplayMismatch
from thplab.explorer.verdict import Budget, Verdict

__all__ = ["Strategy"]


class Strategy:
    """A way to search a case."""

    name = ""

    def engine(self, case: Case) -> Engine:
        """Who decides which lane goes on, and whether there is another execution."""
        raise NotImplementedError

    def search(self, case: Case, budget: Budget) -> Verdict:
        """Run the case until something fails, nothing is left, or the budget is spent.

        Raises:
            DesignError: the case is not deterministic, or the code raised what reports no broken rule.
        """
        verdict, tally, limits = Verdict(self.name), Tally(), budget.limits()
        self.run(self.engine(case), case, limits, tally)
        verdict.note(tally)
        return verdict

    def run(self, engine: Engine, case: Case, limits: Limits, tally: Tally) -> bool:
        """Run all that one engine plans. False: something failed, or the budget is spent."""
        self.executions(engine, case, limits, tally)
        engine.close()
        for failure in tally.failures:
            complain_about_the_case(case, failure)
        return tally.exhausted and not tally.failures

    def executions(self, engine: Engine, case: Case, limits: Limits, tally: Tally) -> None:
        """The loop itself; a strategy that shares the work among processes has its own."""
        search(engine, case, limits, tally)


def complain_about_the_case(case: Case, failure: Failure) -> None:
    """Tell a failure of the code that is searched from code that cannot be searched.

    Raises:
        DesignError: it is the latter. InputError: the schedule to repeat is not one of this case.
    """
    error = failure.error
    if isinstance(error, ReplayMismatch):
        raise InputError(
            f"the schedule does not fit case {case.name}: {error}; it is of another version"
        )
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
