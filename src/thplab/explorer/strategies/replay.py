# SPDX-License-Identifier: GPL-2.0-only
"""One schedule, exactly."""

from __future__ import annotations

from thplab.errors import InputError
from thplab.explorer.checks import all_checks
from thplab.explorer.core import Engine
from thplab.explorer.core_check import Case
from thplab.explorer.strategies import Strategy

__all__ = ["Replay"]


class Replay(Strategy):
    """Follows a schedule, and goes on by itself after its end. Raises InputError if it does not fit the case.

    Args:
        schedule: the lane of each step.
        fault: the lane and the number of the allocation that fails, or (-1, -1).
    """

    name = "replay"

    def __init__(self, schedule: list[int], fault: tuple[int, int] = (-1, -1)) -> None:
        self.schedule = schedule
        self.fault = fault

    def engine(self, case: Case) -> Engine:
        """An engine that plans nothing further."""
        engine = Engine(case, all_checks())
        if any(not 0 <= number < len(engine.lanes) for number in self.schedule):
            raise InputError(
                f"case {case.name} has {len(engine.lanes)} lanes; the schedule names others"
            )
        engine.fail_lane, engine.fail_nth = self.fault
        engine.plan(self.schedule)
        return engine
