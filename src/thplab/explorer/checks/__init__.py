# SPDX-License-Identifier: GPL-2.0-only
"""What is watched in each execution, one file for each rule.

Reference counts and list corruption are found by the primitives themselves, counters and the rules
for idle machines by thplab.mm.invariants; :func:`name_of` gives each a name beside the checks.
"""

from __future__ import annotations

from thplab.cpu.errors import (
    KernelBug,
    ListCorruption,
    LockBug,
    NullDereference,
    RcuBug,
    RefcountBug,
    UseAfterFree,
)
from thplab.explorer.checks.lifetimes import Lifetimes
from thplab.explorer.checks.list_ownership import ListOwnership
from thplab.explorer.checks.lockdep import Lockdep
from thplab.explorer.checks.plain_rmw import PlainRmw
from thplab.explorer.checks.rcu import RcuUse
from thplab.explorer.core_check import Check, CheckFailed

__all__ = ["CHECK_NAMES", "all_checks", "name_of"]

CHECK_NAMES = (
    "lockdep",
    "rcu",
    "list ownership",
    "list corruption",
    "lifetime",
    "refcount",
    "plain rmw",
    "invariants",
    "postcondition",
    "oops",
    "bug",
    "warning",
    "deadlock",
    "livelock",
)

_BY_TYPE: tuple[tuple[type[BaseException], str], ...] = (
    (LockBug, "lockdep"),
    (RcuBug, "rcu"),
    (ListCorruption, "list corruption"),
    (UseAfterFree, "lifetime"),
    (RefcountBug, "refcount"),
    (NullDereference, "oops"),
)


def all_checks() -> list[Check]:
    """A new set of all checks, for one engine."""
    return [Lockdep(), RcuUse(), ListOwnership(), Lifetimes(), PlainRmw()]


def name_of(error: BaseException, said: str) -> str:
    """Which check an error is the report of, one of CHECK_NAMES; "" for an error that reports no broken rule.

    Args:
        said: what the engine already knows: "deadlock", "livelock", "warning", or "".
    """
    if isinstance(error, CheckFailed):
        return error.check
    if said == "warning":
        return "rcu" if "RCU usage" in str(error) else "warning"
    if said:
        return said
    for kind, name in _BY_TYPE:
        if isinstance(error, kind):
            return name
    if isinstance(error, KernelBug):
        return "bug"
    if isinstance(error, AssertionError):
        return "bug"
    if isinstance(error, (AttributeError, TypeError)) and "None" in str(error):
        # What a NULL pointer is to Python.
        return "oops"
    if isinstance(error, IndexError):
        # What a stray pointer is.
        return "oops"
    return ""
