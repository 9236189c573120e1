# SPDX-License-Identifier: GPL-2.0-only
"""The loop of every search: one execution of a case after another, with its checks.

The engine decides who goes on, learns from each execution and plans the next; the loop ends when nothing
is left, something has failed, or the budget is spent.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import Entered, H
from thplab.explorer.checks import name_of
from thplab.explorer.core import COMPLETE, FAILED, Engine
from thplab.explorer.core_check import Case, World

__all__ = ["Failure", "Limits", "Tally", "execute", "once", "search"]


class Failure:
    """One execution that went wrong.

    Attributes:
        check: which check found it.
        error: what was raised.
        lane: whose step it was; -1 at quiescence.
        schedule: the lane of each step.
        preemptions: switches away from a lane that could have gone on.
        fail_lane, fail_nth: the allocation that was made to fail, or -1.
    """

    def __init__(self, check: str, error: BaseException, engine: Engine) -> None:
        self.check: str = check
        self.error: BaseException = error
        self.lane: int = int(engine.failed_lane)
        self.schedule: list[int] = engine.schedule()
        self.preemptions: int = count_preemptions(engine)
        self.fail_lane: int = int(engine.fail_lane)
        self.fail_nth: int = int(engine.fail_nth)
        self.failed_allocation: str = engine.failed_allocation

    def text(self) -> str:
        """The report, in one line."""
        return " ".join(str(self.error).split())


def count_preemptions(engine: Engine) -> int:
    """The preemptions of the last execution."""
    count = 0
    for step in range(1, int(engine.n)):
        node = engine.nodes[step]
        previous = engine.nodes[step - 1].lane
        if previous != node.lane and node.enabled >> previous & 1:
            count += 1
    return count


class Limits:
    """When to stop: at a number of executions (0: any), or at a time of time.monotonic() (0: none)."""

    def __init__(self, executions: i64 = 0, deadline: float = 0.0) -> None:
        self.executions: i64 = executions
        self.deadline: float = deadline

    def reached(self, executions: i64) -> bool:
        """Whether it is time to stop; the clock is read now and then only."""
        if self.executions and executions >= self.executions:
            return True
        return self.deadline > 0.0 and executions & 63 == 0 and time.monotonic() >= self.deadline


@mypyc_attr(allow_interpreted_subclasses=True)
class Tally:
    """What a search has seen.

    Attributes:
        executions, steps: how much was run; cut: executions given up because nothing new could follow.
        states: final states, where the case gives them and they are collected.
        traces: hashes of the classes of equivalent executions, where they are collected.
        failures: the executions that failed: the first, or all if `every`.
        exhausted: nothing is left that the engine would plan.
        pruned: something was left out because of the bound alone.
        allocations: for each lane, the most allocation points that an execution passed.
    """

    def __init__(self, collect: bool = False, every: bool = False) -> None:
        self.collect: bool = collect
        self.every: bool = every
        self.executions: i64 = 0
        self.steps: i64 = 0
        self.cut: i64 = 0
        self.longest: i64 = 0
        self.states: set[Hashable] = set()
        self.traces: set[int] = set()
        self.failures: list[Failure] = []
        self.exhausted: bool = False
        self.pruned: bool = False
        self.allocations: dict[int, int] = {}


def execute(engine: Engine, case: Case, tally: Tally) -> i64:
    """Build a world, run it once, check it, and let it go. Returns the engine's verdict."""
    engine.idle()
    with Entered(engine.cpus, engine.log):
        return _execute(engine, case, tally)


def _execute(engine: Engine, case: Case, tally: Tally) -> i64:
    world = case.build()
    for check in engine.checks:
        check.world = world
    verdict = engine.run(world.programs())
    if verdict == COMPLETE:
        verdict = _check_quiescent(engine, world)
    tally.executions += 1
    tally.steps += engine.n
    tally.longest = max(tally.longest, engine.n)
    for lane in engine.lanes:
        if lane.allocations and lane.allocations > tally.allocations.get(int(lane.number), 0):
            tally.allocations[int(lane.number)] = int(lane.allocations)
    if verdict == FAILED:
        error = engine.failure
        assert error is not None
        tally.failures.append(Failure(name_of(error, engine.failed_check), error, engine))
        # An error keeps its traceback, and with it the frames that it passed.
        engine.failure = error.with_traceback(None)
    elif verdict == COMPLETE:
        if tally.collect:
            tally.states.add(world.state())
    else:
        tally.cut += 1
    for check in engine.checks:
        check.world = None
    world.teardown()
    return verdict


def _check_quiescent(engine: Engine, world: World) -> i64:
    H.cpu = engine.cpus[0]
    try:
        for check in engine.checks:
            check.end(world)
        world.quiescent()
    except Exception as error:  # noqa: BLE001 - whatever the model raised is the finding
        engine.failure = error
        engine.failed_lane = -1
        engine.ended = FAILED
        return FAILED
    if engine.warnings:
        engine.failure = KernelBug(engine.warnings[0])
        engine.failed_check = "warning"
        engine.ended = FAILED
        return FAILED
    return COMPLETE


def once(engine: Engine, case: Case) -> Tally:
    """One execution, the last of this engine."""
    tally = Tally()
    execute(engine, case, tally)
    engine.close()
    return tally


def search(engine: Engine, case: Case, limits: Limits, tally: Tally) -> None:
    """Execute what the engine plans, until it has no more plans, something fails, or a limit is reached."""
    engine.hashes = tally.collect
    tally.exhausted = False
    while not limits.reached(tally.executions):
        verdict = execute(engine, case, tally)
        if tally.failures and not tally.every:
            break
        engine.learn()
        if tally.collect and verdict == COMPLETE:
            tally.traces.add(engine.trace_hash())
        if not engine.advance():
            tally.exhausted = True
            break
    tally.pruned = tally.pruned or engine.pruned
