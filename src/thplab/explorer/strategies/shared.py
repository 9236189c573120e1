# SPDX-License-Identifier: GPL-2.0-only
"""The exhaustive search, shared among processes.

One process runs the first execution of each bound; every alternative along it is a subtree that
another process searches. What a subtree finds to be worth trying above its root comes back with its
result and becomes a new alternative. A lane sleeps in a subtree only for what the first execution
itself has shown: so that no process waits for another, a little is searched twice.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cache

from mypy_extensions import i64

from thplab.errors import InputError
from thplab.explorer.checkpoint import pack
from thplab.explorer.core import Engine
from thplab.explorer.core_check import Case
from thplab.explorer.core_reduce import Reduction
from thplab.explorer.core_search import Limits, Tally, execute, search
from thplab.explorer.strategies.exhaustive import Exhaustive, make_engine
from thplab.explorer.verdict import Budget, Verdict

__all__ = ["Shared"]


@dataclass(frozen=True)
class _Job:
    """A subtree: the steps down to its root, where the last lane is the one to try."""

    case: str
    design: str
    bound: int
    fault: tuple[int, int]
    stack: list[list[int]]
    deadline: float


@dataclass
class _Part:
    """What a process found in a subtree."""

    executions: int = 0
    steps: int = 0
    cut: int = 0
    longest: int = 0
    exhausted: bool = False
    pruned: bool = False
    schedule: list[int] | None = None
    escaped: dict[int, int] = field(default_factory=dict)
    allocations: dict[int, int] = field(default_factory=dict)


@cache
def _case(name: str, design: str) -> Case:
    """In another process: the case, of which the design is loaded once."""
    from thplab.explorer.session import case_for

    return case_for(name, design)


def _search_part(job: _Job) -> _Part:
    """In another process: search the subtree."""
    case = _case(job.case, job.design)
    engine = make_engine(case, job.bound, job.fault, job.stack)
    engine.floor = len(job.stack)
    tally = Tally()
    search(engine, case, Limits(0, job.deadline), tally)
    engine.close()
    return _Part(
        int(tally.executions),
        int(tally.steps),
        int(tally.cut),
        int(tally.longest),
        tally.exhausted,
        tally.pruned,
        tally.failures[0].schedule if tally.failures else None,
        dict(engine.escaped),
        dict(tally.allocations),
    )


class Shared(Exhaustive):
    """Exhaustive, with `jobs` processes, each of which loads the design by its name."""

    def __init__(self, bound: int, jobs: int) -> None:
        super().__init__(bound)
        self.jobs = jobs
        self.pool: ProcessPoolExecutor | None = None

    def search(self, case: Case, budget: Budget) -> Verdict:
        """See Strategy. The processes begin anew, so that they share nothing with this one.

        Raises:
            InputError: the case's design has no name.
        """
        if case.design_name is None:
            raise InputError("several processes need a design that has a name; give file.py:Class")
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.jobs, mp_context=context) as pool:
            self.pool = pool
            return super().search(case, budget)

    def executions(self, engine: Engine, case: Case, limits: Limits, tally: Tally) -> None:
        """The first execution here, and the subtrees along it elsewhere."""
        assert isinstance(engine, Reduction)
        assert case.design_name is not None
        tally.exhausted = False
        if limits.reached(tally.executions):
            return
        execute(engine, case, tally)
        if tally.failures:
            return
        engine.learn()
        engine.floor = 0
        pool = self.pool
        assert pool is not None
        running: set[Future[_Part]] = set()
        complete = True
        failing: list[int] | None = None
        while True:
            if failing is None and complete:
                for stack in _alternatives(engine):
                    fault = (int(engine.fail_lane), int(engine.fail_nth))
                    job = _Job(
                        case.name,
                        case.design_name,
                        int(engine.bound),
                        fault,
                        stack,
                        limits.deadline,
                    )
                    running.add(pool.submit(_search_part, job))
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                part = future.result()
                _add(engine, tally, part)
                complete = complete and (part.exhausted or part.schedule is not None)
                if part.schedule is not None and (failing is None or part.schedule < failing):
                    failing = part.schedule
            if limits.executions and tally.executions >= limits.executions:
                complete = False
        tally.pruned = tally.pruned or engine.pruned
        tally.exhausted = complete and failing is None
        if failing is not None:
            # The failure once more, in this process.
            engine.plan(failing)
            execute(engine, case, tally)


def _alternatives(engine: Reduction) -> list[list[list[int]]]:
    """The alternatives along the first execution that no process has been given yet."""
    found = []
    lanes = [int(engine.nodes[step].lane) for step in range(int(engine.n))]
    for step in range(int(engine.n)):
        node = engine.nodes[step]
        for lane in engine.lanes:
            bit = lane.bit
            if not node.backtrack & bit or node.done & bit or node.sleep & bit:
                continue
            node.done |= bit
            # Of its siblings only the first execution's has shown what it does.
            first = 1 << lanes[step]
            if not engine.affords(step, lane.number):
                engine.pruned = True
                continue
            here = node.lane
            frees = node.frees
            node.lane = lane.number
            node.frees = frees | (node.done & ~first)
            engine.planned = i64(step + 1)
            found.append(pack(engine))
            node.lane = here
            node.frees = frees
    return found


def _add(engine: Reduction, tally: Tally, part: _Part) -> None:
    tally.executions += part.executions
    tally.steps += part.steps
    tally.cut += part.cut
    tally.longest = max(tally.longest, i64(part.longest))
    tally.pruned = tally.pruned or part.pruned
    for step, mask in part.escaped.items():
        engine.nodes[step].backtrack |= mask
    for number, count in part.allocations.items():
        tally.allocations[number] = max(count, tally.allocations.get(number, 0))
