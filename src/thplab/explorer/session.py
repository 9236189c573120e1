# SPDX-License-Identifier: GPL-2.0-only
"""Search a case by its name; shorten, repeat and show its failure. The command line and Python call this."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from thplab.designs import DeferredSplitQueue, Design, load
from thplab.errors import DesignError, InputError
from thplab.explorer.cases.machine_world import MachineCase
from thplab.explorer.cases.standard import CASES, case_named
from thplab.explorer.checks import all_checks
from thplab.explorer.core_search import Failure
from thplab.explorer.corpus import CORPUS, bug_named
from thplab.explorer.fingerprint import fingerprint
from thplab.explorer.interpreted import is_compiled, trace_of
from thplab.explorer.replay_id import decode, encode
from thplab.explorer.shrink import shortest
from thplab.explorer.strategies import Strategy
from thplab.explorer.strategies.exhaustive import Exhaustive
from thplab.explorer.strategies.pct import Pct
from thplab.explorer.strategies.random_walk import RandomWalk
from thplab.explorer.strategies.replay import Replay
from thplab.explorer.strategies.shared import Shared
from thplab.explorer.trace import Trace, record, render
from thplab.explorer.verdict import Budget, Verdict

__all__ = [
    "STRATEGIES",
    "CaseVerdict",
    "Report",
    "case_for",
    "cases_for",
    "replay",
    "report",
    "require_greenlet",
    "search",
]

DEFAULT_DESIGN = "list_lru"
STRATEGIES = ("exhaustive", "random", "pct")
NARROWEST, WIDEST = 56, 84


@dataclass
class Report:
    """A failure, ready to be shown: its schedule and its trace."""

    case: MachineCase
    failure: Failure
    trace: Trace

    @cached_property
    def id(self) -> str | None:
        """The replay id; None if the design was given as a class, which no command line can name."""
        return None if self.case.design_name is None else encode(self.case, self.failure)

    def text(self, width: int | None = None) -> str:
        """The trace with a column for each CPU, `width` characters wide, or as wide as the terminal allows.

        Compiled functions leave no frames, so an interpreting process repeats the schedule by its id. Where
        there is no id, the trace names those functions only that are interpreted here.
        """
        columns = len(self.trace.columns)
        free = shutil.get_terminal_size((180, 24)).columns - 5 - 3 * columns
        if width is None:
            # Wide enough to be read where the output is no terminal.
            width = max(NARROWEST, min(WIDEST, free // columns))
        if is_compiled() and self.id is not None:
            return trace_of(self.id, width)
        return render(self.trace, width) + "\n"


@dataclass(kw_only=True)
class CaseVerdict(Verdict):
    """The verdict of a case, which shortens its failure and repeats it when asked to."""

    case: MachineCase

    @cached_property
    def shortest(self) -> Failure | None:
        """The shortest execution that fails in the same way; None if nothing failed."""
        return None if self.failure is None else shortest(self.case, self.failure)

    @cached_property
    def report(self) -> Report | None:
        """The same, ready to be shown."""
        return None if self.shortest is None else report(self.case, self.shortest)

    @property
    def id(self) -> str | None:
        """The replay id of the shortest failing schedule; None without a failure, or without a design's name."""
        return None if self.report is None else self.report.id

    def trace(self) -> str:
        """The shortest failing schedule as text; "" if nothing failed."""
        return "" if self.report is None else self.report.text()


def require_greenlet() -> None:
    """Say what is missing, before anything fails because of it.

    Raises:
        InputError: greenlet is not installed.
    """
    try:
        import greenlet  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the explorer needs the package greenlet: pip install 'thplab[explore]'"
        ) from error


def case_for(name: str, design: Design = "") -> MachineCase:
    """A standard case on a design (by default list_lru), or the case of a bug ("B06", "B06-fixed").

    Raises:
        InputError, DesignError: there is no such case, or no such design; a bug is given a design, but it
            has its own.
    """
    return cases_for([name], design)[0]


def cases_for(names: Sequence[str], design: Design = "") -> list[MachineCase]:
    """Several cases, as :func:`case_for` makes them, on a design that is loaded once; all without a name."""
    if design:
        for name in names:
            if _bug_number(name) is not None:
                raise InputError(
                    f"{name} has a design of its own, that of the bug; leave out the design"
                )
    design = design or DEFAULT_DESIGN
    design_name = design if isinstance(design, str) else None
    loaded = load(design)
    return [_case(name, loaded, design_name) for name in names or [case.name for case in CASES]]


def _bug_number(name: str) -> str | None:
    """The number of the bug whose case this is, if it is one."""
    number = name.upper().removesuffix("-FIXED")
    return number if any(bug.id == number for bug in CORPUS) else None


def _case(name: str, design: type[DeferredSplitQueue], design_name: str | None) -> MachineCase:
    number = _bug_number(name)
    if number is not None:
        bug = bug_named(number)
        return bug.broken if name.upper() == number else bug.fixed
    case = case_named(name).on(design, design_name)
    try:
        case.build().teardown()
    except Exception as error:
        raise DesignError(
            f"design {design_name or design.__qualname__}: it raised {type(error).__name__}: {error}, "
            f"while case {name} was set up"
        ) from error
    return case


def search(
    case: str | MachineCase,
    design: Design = "",
    *,
    bound: int = 2,
    strategy: str = "exhaustive",
    executions: int = 0,
    seconds: float = 0.0,
    seed: int = 0,
    jobs: int = 1,
    states: bool = False,
    checkpoint: str | None = None,
) -> CaseVerdict:
    """Search the interleavings of a case.

    Args:
        case: a standard case, or the number of a bug; or what :func:`case_for` made of a name and a design.
        design: a name, "file.py:Class", or the class. A class cannot be named on a command line: its failures
            have no replay id, and only one process can search it.
        bound: exhaustive: the highest number of preemptions.
        strategy: one of STRATEGIES.
        executions, seconds: stop after so many; 0 is no limit (random and pct: 10000 executions).
        seed: random, pct.
        jobs: exhaustive: how many processes share the work.
        states: exhaustive: collect the final states.
        checkpoint: exhaustive: a file to go on from, and to write to when the budget is spent.

    Raises:
        InputError, DesignError: there is no such case, design or strategy, or it cannot be searched.
    """
    if isinstance(case, str):
        case = case_for(case, design)
    if strategy not in STRATEGIES:
        raise InputError(f"there is no strategy {strategy!r}; there are {', '.join(STRATEGIES)}")
    chosen: Strategy
    if strategy == "random":
        chosen = RandomWalk(seed)
    elif strategy == "pct":
        chosen = Pct(seed)
    elif jobs > 1:
        chosen = Shared(bound, jobs)
    else:
        chosen = Exhaustive(bound, hash_states=states, checkpoint=checkpoint)
    verdict = chosen.search(case, Budget(executions, seconds))
    return CaseVerdict(**vars(verdict), case=case)


def report(case: MachineCase, failure: Failure) -> Report:
    """A failure, run twice more: the same schedule must give the same trace.

    Raises:
        DesignError: it does not.
    """
    first, second = (record(case, failure, failure.schedule, all_checks()) for _ in range(2))
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
    return Report(case, failure, first)


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
    case = case_for(recording.case, recording.design or "")
    if fingerprint(case) != recording.print:
        raise InputError(
            f"the replay id is of another version: case {recording.case} does something else here"
        )
    verdict = Replay(recording.schedule, recording.fault).search(case, Budget())
    return None if verdict.failure is None else report(case, verdict.failure)
