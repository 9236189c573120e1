# SPDX-License-Identifier: GPL-2.0-only
"""Search one bug of the corpus: the broken code until the bug is found, the fixed code to the same bound."""

from __future__ import annotations

from dataclasses import dataclass

from thplab.explore.core_search import Failure
from thplab.explore.corpus.bug import Bug
from thplab.explore.shrink import shortest
from thplab.explore.strategies.exhaustive import Exhaustive
from thplab.explore.verdict import Budget, Verdict

__all__ = ["Result", "search_bug"]

BUDGET = Budget(seconds=60.0)


@dataclass
class Result:
    """What came of it; `as_expected`: found by an expected check, and the fixed code clean and exhausted."""

    broken: Verdict
    shortest: Failure | None
    fixed: Verdict
    as_expected: bool


def search_bug(bug: Bug) -> Result:
    """Search both, and shorten the failure."""
    broken = Exhaustive(bug.bound).search(bug.broken, BUDGET)
    fixed = Exhaustive(bug.bound).search(bug.fixed, BUDGET)
    failure = broken.failure
    best = shortest(bug.broken, failure) if failure is not None else None
    found = best is not None and best.check in bug.checks
    return Result(broken, best, fixed, found and fixed.failure is None and fixed.exhausted)
