# SPDX-License-Identifier: GPL-2.0-only
"""Bugs that this code really had, each as code that has it and a case that shows it."""

from __future__ import annotations

from thplab.errors import InputError
from thplab.explorer.corpus.bug import Bug
from thplab.explorer.corpus.bugs_list_lru import BUGS as LIST_LRU
from thplab.explorer.corpus.bugs_series import BUGS as SERIES
from thplab.explorer.corpus.bugs_shrinker import BUGS as SHRINKER
from thplab.explorer.corpus.bugs_split_queue import BUGS as SPLIT_QUEUE

__all__ = ["CORPUS", "Bug", "bug_named"]

CORPUS: tuple[Bug, ...] = tuple(
    sorted([*SERIES, *LIST_LRU, *SPLIT_QUEUE, *SHRINKER], key=lambda bug: bug.id)
)


def bug_named(name: str) -> Bug:
    """The bug with this number.

    Raises:
        InputError: there is none.
    """
    for bug in CORPUS:
        if bug.id == name.upper():
            return bug
    raise InputError(f"there is no bug {name!r}; there are {', '.join(bug.id for bug in CORPUS)}")
