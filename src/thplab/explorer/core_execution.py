# SPDX-License-Identifier: GPL-2.0-only
"""What an execution consists of, how it begins and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import Cpu, H, Watcher, detach
from thplab.cpu.ops import NAMES
from thplab.explorer.core_check import Case, Check
from thplab.explorer.core_step import Lane, Node, NotDeterministic, ReplayMismatch, lane_name

__all__ = ["COMPLETE", "CUT", "FAILED", "Execution"]

COMPLETE: Final[i64] = 0
FAILED: Final[i64] = 1
CUT: Final[i64] = 2

SHOWN: Final = 12  # steps of a loop that a report has room for


@mypyc_attr(allow_interpreted_subclasses=True)
class Execution(Watcher):
    """Executions of one case, one after another.

    The first `planned` steps are made by the lanes that :attr:`nodes` name; from there on the lane that
    runs goes on for as long as it can, unless a subclass's :meth:`pick` says otherwise. Of the planned
    steps the first `known` were made in the execution before, and must come out the same.

    Attributes:
        lanes: programs first, then handlers.
        nodes: the steps; the first `n` are those of the current or last execution.
        max_steps: an execution with more steps is a livelock.
        pruned: an alternative was left out because of the bound alone.
        hashes: trace_hash() will be called.
        failure: what went wrong in the last execution, or None.
    """

    def __init__(self, case: Case, checks: list[Check]) -> None:
        from greenlet import getcurrent, greenlet

        self.hub: Any = getcurrent()
        self.cpus: list[Cpu] = [Cpu(number) for number in range(int(case.cpus))]
        self.lanes: list[Lane] = [Lane(cpu.number, cpu, False) for cpu in self.cpus]
        for number in case.handlers:
            self.lanes.append(Lane(len(self.lanes), self.cpus[number], True))
        for lane in self.lanes:
            lane.greenlet = greenlet(self._life)
        self.has_handlers: bool = bool(case.handlers)
        self.checks: list[Check] = checks
        for check in checks:
            check.cpus = self.cpus
        # For each operation, who wants to hear of it: the masks are asked for once.
        ops = range(max(NAMES) + 1)
        self.before: list[list[Check]] = [
            [check for check in checks if check.point_mask() >> op & 1] for op in ops
        ]
        self.after: list[list[Check]] = [
            [check for check in checks if check.done_mask() >> op & 1] for op in ops
        ]
        self.max_steps: i64 = case.max_steps
        self.nodes: list[Node] = []
        self.n: i64 = 0
        self.planned: i64 = 0
        self.known: i64 = 0
        self.driven: bool = False
        self.lane: Lane = self.lanes[0]
        self.sleep: i64 = 0
        self.booting: bool = False
        self.unwinding: bool = False
        self.ended: i64 = COMPLETE
        self.bound: i64 = 1 << 30
        self.pruned: bool = False
        self.hashes: bool = False
        self.failure: BaseException | None = None
        self.failed_check: str = ""
        self.failed_lane: i64 = -1
        self.warnings: list[str] = []
        self.log: dict[str, int] = {}
        self.fail_lane: i64 = -1
        self.fail_nth: i64 = -1
        self.failed_allocation: str = ""
        self.cut_short: i64 = 0
        self.grace_periods: bool = False
        self.executions: i64 = 0
        self.steps: i64 = 0

    def _life(self) -> None:
        """What each greenlet does; see Engine."""
        raise NotImplementedError

    def choose(self) -> i64:
        """The lane that makes the next step; see Engine."""
        raise NotImplementedError

    def _switch(self, chosen: i64) -> None:
        lane = self.lanes[chosen]
        self.lane = lane
        H.cpu = lane.cpu
        lane.greenlet.switch()

    # Ends

    def _none_enabled(self) -> None:
        waiting = [lane for lane in self.lanes if not lane.finished]
        if not waiting:
            return
        self.ended = FAILED
        self.failed_check = "deadlock"
        self.failed_lane = waiting[0].number
        text = "; ".join(f"{lane_name(lane)} waits for {lane.obj!r}" for lane in waiting)
        self.failure = KernelBug(f"deadlock: {text}")

    def _livelock(self) -> None:
        self.ended = FAILED
        self.failed_check = "livelock"
        self.failed_lane = self.lane.number
        text = f"livelock: no end after {self.n} steps"
        loop = self.loop()
        if loop:
            steps = "; ".join(
                f"{lane_name(self.lanes[self.nodes[step].lane])} {NAMES[int(self.nodes[step].op)]} "
                f"{self.nodes[step].obj!r}"
                for step in loop[:SHOWN]
            )
            more = f"; and {len(loop) - SHOWN} more" if len(loop) > SHOWN else ""
            text += f"; the last {len(loop)} steps were made over and over: {steps}{more}"
        self.failure = KernelBug(text)

    def loop(self) -> list[int]:
        """The shortest tail of the execution that it has repeated, as steps; empty if there is none."""
        n = int(self.n)
        for length in range(1, n // 3):
            if all(
                self._same_step(n - 1 - back, n - 1 - back - length) for back in range(2 * length)
            ):
                return list(range(n - length, n))
        return []

    def _same_step(self, step: int, other: int) -> bool:
        first = self.nodes[step]
        second = self.nodes[other]
        return first.lane == second.lane and first.op == second.op

    def _mismatch(self, step: i64, number: i64, mask: i64) -> None:
        self.ended = FAILED
        self.failed_check = "replay"
        able = [lane_name(lane) for lane in self.lanes if mask & lane.bit]
        self.failure = ReplayMismatch(int(step), int(number), f"enabled: {', '.join(able)}")

    def _parted(self, step: i64, what: str) -> None:
        node = self.nodes[step]
        self.ended = FAILED
        self.failed_check = "determinism"
        self.failure = NotDeterministic(
            int(step),
            f"two runs of one schedule part at step {step}: first {NAMES[int(node.op)]} of "
            f"{node.obj!r} by {lane_name(self.lanes[node.lane])}, {what}",
        )

    # Executions

    def run(self, programs: list[Callable[[], None]]) -> i64:
        """One execution of the programs (then handlers) along the planned steps and on from there.

        Returns:
            COMPLETE, FAILED (see :attr:`failure`) or CUT (nothing new, or past the bound).
        """
        self._begin(programs)
        if self.ended == COMPLETE:
            chosen = self.choose()
            if chosen >= 0:
                self._switch(chosen)
        self._end()
        return self.ended

    def _begin(self, programs: list[Callable[[], None]]) -> None:
        """Run each lane up to its first announcement."""
        self.n = 0
        self.sleep = 0
        self.ended = COMPLETE
        self.failure = None
        self.failed_check = ""
        self.failed_allocation = ""
        self.failed_lane = -1
        self.unwinding = False
        if self.warnings:
            self.warnings = []
        if self.log:
            self.log.clear()
        for check in self.checks:
            check.begin()
        H.watcher = self
        H.on = True
        self.booting = True
        for position, lane in enumerate(self.lanes):
            lane.program = programs[position]
            lane.finished = False
            lane.entered = False
            lane.index = 0
            lane.allocations = 0
            lane.obj = None
            if self.ended == COMPLETE:
                self.lane = lane
                H.cpu = lane.cpu
                lane.greenlet.switch()
            else:
                lane.finished = True
        self.booting = False

    def _end(self) -> None:
        """Unwind what is left, and let the memory go."""
        self.unwinding = True
        H.on = False
        self.cut_short = 0
        for lane in self.lanes:
            if not lane.finished:
                self.cut_short |= lane.bit
                self.lane = lane
                H.cpu = lane.cpu
                lane.greenlet.switch()
            lane.program = None
        self.executions += 1
        self.steps += self.n
        if self.ended == COMPLETE and self.warnings:
            self.ended = FAILED
            self.failed_check = "warning"
            self.failure = KernelBug(self.warnings[0])
        if isinstance(self.failure, (KeyboardInterrupt, SystemExit)):
            raise self.failure

    def idle(self) -> None:
        """All CPUs as after boot."""
        for cpu in self.cpus:
            cpu.irqs_on = True
            cpu.in_irq = 0
            cpu.rcu_nesting = 0
            cpu.rcu_section = 0
            cpu.locks_held = 0
            cpu.waiter = None

    def schedule(self) -> list[int]:
        """The lanes of the steps of the last execution."""
        return [int(self.nodes[step].lane) for step in range(int(self.n))]

    def close(self) -> None:
        """End the greenlets, and watch no more. Nothing can be run afterwards."""
        from greenlet import GreenletExit

        detach()

        for lane in self.lanes:
            if lane.greenlet:
                self.lane = lane
                self.unwinding = True
                lane.greenlet.throw(GreenletExit)
