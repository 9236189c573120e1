# SPDX-License-Identifier: GPL-2.0-only
"""What the command line asks for: cases by name, failures made short, repeated and shown."""

from __future__ import annotations

from dataclasses import dataclass

from thplab.cpu.hook import detach
from thplab.designs import load
from thplab.errors import DesignError, InputError
from thplab.explore.cases.machine_world import MachineCase
from thplab.explore.cases.standard import case_named
from thplab.explore.checks import all_checks
from thplab.explore.core_search import Failure
from thplab.explore.corpus import CORPUS, bug_named
from thplab.explore.fingerprint import fingerprint
from thplab.explore.replay_id import decode, encode
from thplab.explore.shrink import shortest
from thplab.explore.strategies.replay import Replay
from thplab.explore.trace import Trace, record
from thplab.explore.verdict import Budget

__all__ = ["Report", "case_for", "replay", "report", "require_greenlet"]


@dataclass
class Report:
    """A failure, ready to be shown: the shortest schedule, its id and its trace."""

    case: MachineCase
    failure: Failure
    id: str
    trace: Trace


def require_greenlet() -> None:
    """Say what is missing, before anything fails for it.

    Raises:
        InputError: greenlet is not installed.
    """
    try:
        import greenlet  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the explorer needs the package greenlet: pip install 'thplab[explore]'"
        ) from error


def case_for(name: str, design: str) -> MachineCase:
    """A standard case on a design, or the case of a bug ("B06", "B06-fixed").

    Raises:
        InputError, DesignError: there is no such case, or no such design.
    """
    number = name.upper().removesuffix("-FIXED")
    if any(bug.id == number for bug in CORPUS):
        bug = bug_named(number)
        return bug.fixed if name.lower().endswith("-fixed") else bug.broken
    case = case_named(name).on(load(design), design)
    try:
        case.build().teardown()
    except Exception as error:
        # Whatever it held when it raised, the boot CPU holds no more.
        detach()
        raise DesignError(
            f"design {design}: it raised {type(error).__name__}: {error}, while case {name} was set up"
        ) from error
    return case


def report(case: MachineCase, failure: Failure, *, shrink: bool = True) -> Report:
    """The shortest form of a failure, run twice more: the same schedule must give the same trace.

    Raises:
        DesignError: it does not.
    """
    best = shortest(case, failure) if shrink else failure
    first = record(case, best, best.schedule, all_checks())
    second = record(case, best, best.schedule, all_checks())
    for number, (one, other) in enumerate(zip(first.steps, second.steps, strict=False)):
        if one != other:
            raise DesignError(
                f"case {case.name}: it is not deterministic: two runs of one schedule part at step {number}: "
                f"{one.operation} {one.before}, then {other.operation} {other.before}"
            )
    if len(first.steps) != len(second.steps):
        raise DesignError(
            f"case {case.name}: it is not deterministic: one schedule took {len(first.steps)} and then "
            f"{len(second.steps)} steps"
        )
    return Report(case, best, encode(case, best), first)


def replay(text: str, name: str | None, design: str | None) -> Report | None:
    """Repeat what an id stands for. None: it does not fail (any more).

    Raises:
        InputError: the id is damaged, or of another case, design or version.
    """
    recording = decode(text)
    if name is not None and name.lower() != recording.case.lower():
        raise InputError(f"the replay id is of case {recording.case}, not of {name}")
    if design is not None and recording.design and design != recording.design:
        raise InputError(f"the replay id is of design {recording.design}, not of {design}")
    case = case_for(recording.case, recording.design or "list_lru")
    if fingerprint(case) != recording.print:
        raise InputError(
            f"the replay id is of another version: case {recording.case} does something else here"
        )
    verdict = Replay(recording.schedule, recording.fault).search(case, Budget())
    if verdict.failure is None:
        return None
    return report(case, verdict.failure, shrink=False)
