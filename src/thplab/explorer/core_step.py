# SPDX-License-Identifier: GPL-2.0-only
"""Steps of an execution: who makes them, and when the order of two of them matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mypy_extensions import i64

from thplab.cpu.hook import Cpu
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import (
    ADD,
    COMPLETION,
    GRACE_PERIOD_WAIT,
    IRQ_OFF,
    IRQ_ON,
    LOCK,
    MUTEX_LOCK,
    PLAIN_READ,
    RCU_LOAD,
    RCU_LOCK,
    RCU_UNLOCK,
    RCU_USE,
    READ,
    REF_GET,
)
from thplab.cpu.rcu import GracePeriod
from thplab.cpu.spinlock import Mutex, SpinLock

__all__ = [
    "Lane",
    "Node",
    "NotDeterministic",
    "ReplayMismatch",
    "Stop",
    "dependent",
    "effect",
    "lane_name",
]

# What an operation does to its object, as far as order matters.
_NOTHING: Final[i64] = 0
_READS: Final[i64] = 1
_ADDS: Final[i64] = 2
_GETS: Final[i64] = 3
_WRITES: Final[i64] = 4


class Stop(BaseException):
    """Unwinds a lane whose execution is over."""


class ReplayMismatch(Exception):
    """A schedule could not be followed: the lane that it names cannot make this step."""

    def __init__(self, step: int, lane: int, found: str) -> None:
        super().__init__(f"step {step}: lane {lane} cannot go on; {found}")
        self.step = step
        self.lane = lane
        self.found = found


def effect(op: i64) -> i64:
    """The class of an operation: two of one class commute, unless both write."""
    if op == READ or op == PLAIN_READ or op == RCU_LOAD or op == RCU_USE or op == RCU_LOCK:
        return _READS
    if op == COMPLETION:
        return _READS
    if op == RCU_UNLOCK:
        # What it ends is announced apart, with the grace period as the object.
        return _READS
    if op == ADD:
        return _ADDS
    if op == REF_GET:
        # Two references taken: both succeed or both fail, whatever the order.
        return _GETS
    if op == IRQ_OFF or op == IRQ_ON:
        return _NOTHING
    return _WRITES


def dependent(op: i64, other: i64) -> bool:
    """Whether the order of two operations on one object can matter."""
    first = effect(op)
    second = effect(other)
    if first == _NOTHING or second == _NOTHING:
        return False
    return first != second or first == _WRITES


class NotDeterministic(Exception):
    """One schedule gave two executions: the case reads a clock, iterates a set of objects, or the like."""

    def __init__(self, step: int, text: str) -> None:
        super().__init__(text)
        self.step = step


class Lane:
    """A CPU's program, or an interrupt handler.

    Attributes:
        number: its place among the lanes of the execution.
        cpu: the CPU that it runs on; a handler shares one with a program.
        op, obj: the operation that it has announced and not made yet.
        index: how many steps it has made.
        allocations: how many allocation points it has passed.
    """

    def __init__(self, number: i64, cpu: Cpu, handler: bool) -> None:
        self.number: i64 = number
        self.bit: i64 = 1 << number
        self.cpu: Cpu = cpu
        self.handler: bool = handler
        self.program: Callable[[], None] | None = None
        self.greenlet: Any = None
        self.op: i64 = 0
        self.obj: object = None
        self.finished: bool = False
        self.entered: bool = False
        self.index: i64 = 0
        self.allocations: i64 = 0
        self.irqs_before: bool = True

    def enabled(self) -> bool:
        """Whether the announced operation can go on."""
        if self.finished:
            return False
        op = self.op
        if self.handler:
            if not self.entered:
                return self.cpu.irqs_on and self.cpu.in_irq == 0
        elif self.cpu.in_irq:
            return False
        if op == LOCK:
            lock = self.obj
            assert isinstance(lock, SpinLock)
            # Held by this CPU: let it run into the report of recursion.
            return lock.owner is None or lock.owner is self.cpu
        if op == MUTEX_LOCK:
            mutex = self.obj
            assert isinstance(mutex, Mutex)
            return mutex.owner is None or mutex.owner is self.cpu
        if op == GRACE_PERIOD_WAIT:
            period = self.obj
            assert isinstance(period, GracePeriod)
            return not period.readers
        if op == COMPLETION:
            refs = self.obj
            assert isinstance(refs, KernelObject)
            return refs.refcount <= 0
        return True


class Node:
    """One step of the current execution, with what the search has still to try there.

    Masks have a bit for each lane.

    Attributes:
        enabled: the lanes that could have made this step.
        sleep: the lanes whose step here leads to nothing new.
        backtrack: the lanes that must be tried here.
        done: the lanes that have been tried here.
        stays: of those tried, the lanes that could go on right after their step.
        frees: of those tried, the lanes whose step did more than it announced.
        preemptions: switches away from an enabled lane before this step.
        previous: the lane that made the step before, or -1.
        lane, op, obj: the step that was made; index is its place among the lane's own steps.
        clock: for each lane, how many of its steps happen before the end of this one.
        extra_ops, extra_objs: further effects: an object freed, a list head changed, a grace period ended.
    """

    def __init__(self, lanes: i64) -> None:
        self.enabled: i64 = 0
        self.sleep: i64 = 0
        self.backtrack: i64 = 0
        self.done: i64 = 0
        self.stays: i64 = 0
        self.frees: i64 = 0
        self.preemptions: i64 = 0
        self.previous: i64 = -1
        self.lane: i64 = 0
        self.op: i64 = 0
        self.obj: object = None
        self.index: i64 = 0
        self.clock: list[int] = [0] * int(lanes)
        self.extra_ops: list[int] = []
        self.extra_objs: list[object] = []


def lane_name(lane: Lane) -> str:
    """CPU0, or CPU0's interrupt."""
    return f"{lane.cpu!r} (interrupt)" if lane.handler else f"{lane.cpu!r}"
