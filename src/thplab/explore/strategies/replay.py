# SPDX-License-Identifier: GPL-2.0-only
"""One schedule, exactly."""

from __future__ import annotations

import time

from thplab.errors import InputError
from thplab.explore.checks import all_checks
from thplab.explore.core import Engine
from thplab.explore.core_check import Case
from thplab.explore.core_search import Tally, execute
from thplab.explore.core_step import Node, ReplayMismatch
from thplab.explore.strategies import complain_about_the_case, note
from thplab.explore.verdict import Budget, Verdict

__all__ = ["Replay", "plan"]


def plan(engine: Engine, schedule: list[int]) -> None:
    """Have the engine follow the schedule in its next execution."""
    nodes = [Node(len(engine.lanes)) for _ in schedule]
    for node, number in zip(nodes, schedule, strict=True):
        node.lane = number
    engine.nodes = nodes
    engine.planned = len(schedule)
    engine.known = 0


class Replay:
    """Follows a schedule, and goes on by itself after its end.

    Args:
        schedule: the lane of each step.
        fault: the lane and the number of the allocation that fails, or (-1, -1).
    """

    name = "replay"

    def __init__(self, schedule: list[int], fault: tuple[int, int] = (-1, -1)) -> None:
        self.schedule = schedule
        self.fault = fault

    def search(self, case: Case, budget: Budget) -> Verdict:
        """See Strategy.

        Raises:
            InputError: the schedule does not fit the case.
        """
        verdict = Verdict(self.name)
        started = time.monotonic()
        engine = Engine(case.cpus, case.handlers, all_checks(), case.max_steps)
        if any(not 0 <= number < len(engine.lanes) for number in self.schedule):
            raise InputError(
                f"case {case.name} has {len(engine.lanes)} lanes; the schedule names others"
            )
        engine.fail_lane, engine.fail_nth = self.fault
        plan(engine, self.schedule)
        tally = Tally()
        execute(engine, case, tally)
        engine.close()
        note(verdict, tally, started)
        failure = verdict.failure
        if failure is not None:
            if isinstance(failure.error, ReplayMismatch):
                raise InputError(
                    f"the schedule does not fit case {case.name}: {failure.error}; it is of another version"
                )
            complain_about_the_case(case, failure)
        return verdict
