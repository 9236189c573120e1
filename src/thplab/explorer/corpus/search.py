# SPDX-License-Identifier: GPL-2.0-only
"""Search one bug of the corpus: the broken code until the bug is found, the fixed code to the same bound."""

from __future__ import annotations

from dataclasses import dataclass

from thplab.explorer.corpus.bug import Bug
from thplab.explorer.session import CaseVerdict, search

__all__ = ["Result", "search_bug"]

SECONDS = 60.0


@dataclass
class Result:
    """Both verdicts; `as_expected`: an expected check found the bug, and the fixed code is clean within the bound."""

    broken: CaseVerdict
    fixed: CaseVerdict
    as_expected: bool


def search_bug(bug: Bug) -> Result:
    """Search both."""
    broken = search(bug.broken, bound=bug.bound, seconds=SECONDS)
    fixed = search(bug.fixed, bound=bug.bound, seconds=SECONDS)
    found = broken.shortest is not None and broken.shortest.check in bug.checks
    return Result(broken, fixed, found and fixed.failure is None and fixed.exhausted)
