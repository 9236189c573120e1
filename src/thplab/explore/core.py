# SPDX-License-Identifier: GPL-2.0-only
"""One execution: CPUs as greenlets, and the scheduling point that decides who goes on.

Each CPU's program, and each interrupt handler, is a *lane*. A lane runs natively until it announces
an operation at a scheduling point; the operation and all that follows it up to the next announcement
is one *step*. At each point it is decided which lane makes the next step, and only when that is
another one does a greenlet switch happen.

A lane whose announced operation cannot go on (a lock that another CPU holds, a grace period with
readers left) is not enabled and is never chosen, so waiting costs no step. Nothing is enabled and not
all lanes have finished: that is a deadlock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import Cpu, H, Watcher, detach
from thplab.cpu.ops import (
    ADD,
    COMPLETION,
    FREE,
    GRACE_PERIOD,
    GRACE_PERIOD_WAIT,
    IRQ_ENTRY,
    IRQ_OFF,
    IRQ_ON,
    LINK,
    LOCK,
    MUTEX_LOCK,
    PLAIN_READ,
    RCU_LOAD,
    RCU_LOCK,
    RCU_UNLOCK,
    RCU_USE,
    READ,
    REF_GET,
    NAMES,
    TRYLOCK,
    UNLINK,
    UNLOCK,
    WRITE,
)
from thplab.cpu.object import KernelObject
from thplab.cpu.rcu import GracePeriod
from thplab.cpu.spinlock import Mutex, SpinLock
from thplab.explore.core_check import Check

__all__ = ["COMPLETE", "CUT", "FAILED", "Engine", "Lane", "Node", "NotDeterministic", "ReplayMismatch", "Stop", "dependent", "effect", "lane_name"]

COMPLETE: Final[i64] = 0
FAILED: Final[i64] = 1
CUT: Final[i64] = 2

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
    """The same schedule led elsewhere: the case reads a clock, iterates a set of ids, or the like."""

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


@mypyc_attr(allow_interpreted_subclasses=True)
class Engine(Watcher):
    """Runs executions of one case, step by step.

    The first `planned` steps are made by the lanes that :attr:`nodes` name; from there on the lane that
    runs goes on for as long as it can, unless a subclass's :meth:`pick` says otherwise. Of the planned
    steps the first `known` were made in the execution before, and must come out the same.

    Attributes:
        lanes: programs first, then handlers.
        nodes: the steps; the first `n` are those of the current or last execution.
        max_steps: an execution that is longer has lost its way: livelock.
        failure: what went wrong in the last execution, or None.
    """

    def __init__(self, cpus: i64, handlers: list[int], checks: list[Check], max_steps: i64) -> None:
        """`handlers` gives the number of the CPU of each interrupt handler."""
        from greenlet import getcurrent, greenlet

        self.hub: Any = getcurrent()
        self.cpus: list[Cpu] = [Cpu(number) for number in range(int(cpus))]
        self.lanes: list[Lane] = [Lane(cpu.number, cpu, False) for cpu in self.cpus]
        for number in handlers:
            self.lanes.append(Lane(len(self.lanes), self.cpus[number], True))
        for lane in self.lanes:
            lane.greenlet = greenlet(self._life)
        self.has_handlers: bool = bool(handlers)
        self.checks: list[Check] = checks
        self.watched_points: i64 = 0
        self.watched_ops: i64 = 0
        for check in checks:
            check.cpus = self.cpus
            self.watched_points |= check.point_mask()
            self.watched_ops |= check.done_mask()
        self.max_steps: i64 = max_steps
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
        self.failure: BaseException | None = None
        self.failed_check: str = ""
        self.failed_lane: i64 = -1
        self.warnings: list[str] = []
        self.fail_lane: i64 = -1
        self.fail_nth: i64 = -1
        self.failed_allocation: str = ""
        self.cut_short: i64 = 0
        self.grace_periods: bool = False
        self.executions: i64 = 0
        self.steps: i64 = 0

    # The life of a lane

    def _life(self) -> None:
        """What each greenlet does: run the program it is given, hand over, and wait for the next."""
        while True:
            lane = self.lane
            try:
                if lane.handler:
                    self.point(IRQ_ENTRY, lane.cpu)
                    lane.entered = True
                    lane.irqs_before = lane.cpu.irqs_on
                    lane.cpu.irqs_on = False
                    lane.cpu.in_irq += 1
                program = lane.program
                assert program is not None
                program()
            except Stop:
                pass
            except BaseException as error:  # noqa: BLE001 - whatever the model raised is the finding
                if not self.unwinding:
                    self._fail(lane, error)
            self._finish(lane)

    def _finish(self, lane: Lane) -> None:
        """The lane's program is over: another goes on, or the execution ends."""
        lane.finished = True
        if lane.handler and lane.entered:
            lane.cpu.in_irq -= 1
            lane.cpu.irqs_on = lane.irqs_before
        if self.booting or self.unwinding or self.ended != COMPLETE:
            self.hub.switch()
            return
        chosen = self.choose()
        if chosen < 0:
            self.hub.switch()
        else:
            self._switch(chosen)

    def _fail(self, lane: Lane, error: BaseException) -> None:
        if self.failure is None:
            self.failure = error
            self.failed_lane = lane.number
        self.ended = FAILED

    def _switch(self, chosen: i64) -> None:
        lane = self.lanes[chosen]
        self.lane = lane
        H.cpu = lane.cpu
        lane.greenlet.switch()

    # What the primitives call

    def point(self, op: i64, obj: object) -> None:
        """Announce an operation, and return when this lane has been chosen to make it."""
        if (op == IRQ_OFF or op == IRQ_ON) and not self.has_handlers:
            return
        lane = self.lane
        lane.op = op
        lane.obj = obj
        if self.booting:
            self.hub.switch()
        else:
            chosen = self.choose()
            if chosen != lane.number:
                if chosen < 0:
                    self.hub.switch()
                else:
                    self._switch(chosen)
        if self.unwinding:
            raise Stop
        self._commit(lane)

    def block(self, op: i64, obj: object) -> None:
        """Wait: announced like any operation, and enabled when it can go on."""
        self.point(op, obj)

    def done(self, op: i64, obj: object, arg: object) -> None:
        """Note effects that were not announced, and tell the checks."""
        if self.booting or self.unwinding:
            return
        if op == FREE:
            self._extra(op, obj)
        elif op == GRACE_PERIOD_WAIT:
            # Of several readers that leave, only which is the last matters, and only if that one runs a callback.
            period = obj
            assert isinstance(period, GracePeriod)
            self._extra(ADD if period.head is None else WRITE, period)
        elif (op == LINK or op == UNLINK) and arg is not None:
            self._extra(op, arg)
        if self.watched_ops >> op & 1:
            for check in self.checks:
                if check.done_mask() >> op & 1:
                    check.done(self.lane.number, op, obj, arg)

    def fails(self, what: str) -> bool:
        """Whether this is the allocation point that the plan makes fail."""
        lane = self.lane
        number = lane.allocations
        lane.allocations += 1
        if lane.number == self.fail_lane and number == self.fail_nth:
            self.failed_allocation = what
            return True
        return False

    def warning(self, text: str) -> None:
        """A WARN is collected; the execution goes on."""
        self.warnings.append(text)

    def _extra(self, op: i64, obj: object) -> None:
        if self.n == 0:
            return
        node = self.nodes[self.n - 1]
        if obj is node.obj:
            return
        node.frees |= 1 << node.lane
        node.extra_ops.append(int(op))
        node.extra_objs.append(obj)
        if self.sleep:
            self._wake(op, obj)

    # Steps

    def choose(self) -> i64:
        """The lane that makes the next step, or -1: the execution is over (see :attr:`ended`)."""
        n = self.n
        mask: i64 = 0
        for lane in self.lanes:
            if lane.enabled():
                mask |= lane.bit
        if mask == 0:
            self._nobody()
            return -1
        if n >= self.max_steps:
            self._livelock()
            return -1
        while n >= len(self.nodes):
            self.nodes.append(Node(len(self.lanes)))
        node = self.nodes[n]
        if n < self.known:
            # Made before, in the execution that this one repeats so far.
            if node.enabled != mask:
                self._parted(n, "the CPUs that can go on differ")
                return -1
            return node.lane
        previous: i64 = -1
        preemptions: i64 = 0
        if n:
            before = self.nodes[n - 1]
            previous = before.lane
            preemptions = before.preemptions
            if (
                before.previous >= 0
                and before.previous != previous
                and before.enabled >> before.previous & 1
            ):
                preemptions += 1
            if mask >> previous & 1:
                before.stays |= 1 << previous
        if n < self.planned:
            if not mask >> node.lane & 1:
                self._mismatch(n, node.lane, mask)
                return -1
            node.enabled = mask
            node.preemptions = preemptions
            node.previous = previous
            if n + 1 == self.planned:
                # The step where this execution parts from the one before.
                self.sleep = self._falls_asleep(node)
            return node.lane
        chosen = self._free_choice(n, previous, preemptions, mask)
        if chosen < 0:
            return -1
        node.enabled = mask
        node.sleep = self.sleep
        node.backtrack = 1 << chosen
        node.done = 1 << chosen
        node.stays = 0
        node.frees = 0
        node.preemptions = preemptions
        node.previous = previous
        node.lane = chosen
        return chosen

    def _free_choice(self, n: i64, previous: i64, preemptions: i64, mask: i64) -> i64:
        if self.driven:
            return self.pick(n, previous, mask)
        awake = mask & ~self.sleep
        if previous >= 0 and awake >> previous & 1:
            return previous
        if awake == 0:
            self.ended = CUT
            return -1
        if previous >= 0 and mask >> previous & 1 and preemptions >= self.bound:
            self.ended = CUT
            return -1
        chosen: i64 = 0
        while not awake >> chosen & 1:
            chosen += 1
        return chosen

    def pick(self, step: i64, previous: i64, enabled: i64) -> i64:
        """For strategies that decide at each step (with `driven`): one of the lanes of the mask."""
        raise NotImplementedError

    def _falls_asleep(self, node: Node) -> i64:
        """The lanes that sleep after the alternative at `node`; see core_reduce."""
        return 0

    def _commit(self, lane: Lane) -> None:
        """The chosen lane makes the step it announced."""
        n = self.n
        node = self.nodes[n]
        op = lane.op
        if n < self.known and node.op != op:
            self._parted(n, f"now {NAMES[int(op)]} of {lane.obj!r}")
        node.op = op
        node.obj = lane.obj
        node.index = lane.index
        if node.extra_ops:
            node.extra_ops = []
            node.extra_objs = []
        lane.index += 1
        self.n = n + 1
        if op == GRACE_PERIOD or op == LOCK or op == UNLOCK or op == TRYLOCK:
            self._reader_or_grace_period(node, op)
        if self.sleep:
            self.sleep &= ~lane.bit
            self._wake(op, lane.obj)
        if self.watched_points >> op & 1:
            for check in self.checks:
                if check.point_mask() >> op & 1:
                    check.point(lane.number, op, lane.obj)

    def _reader_or_grace_period(self, node: Node, op: i64) -> None:
        """Whoever holds a spin lock is waited for by a grace period that begins then: their order matters."""
        if op == GRACE_PERIOD:
            self.grace_periods = True
            self.sleep = 0
            node.extra_ops.append(int(WRITE))
            node.extra_objs.append(H)
            return
        if not self.grace_periods:
            return
        if self.sleep:
            for lane in self.lanes:
                if lane.op == GRACE_PERIOD:
                    self.sleep &= ~lane.bit
        node.extra_ops.append(int(READ))
        node.extra_objs.append(H)

    def _wake(self, op: i64, obj: object) -> None:
        """Lanes asleep whose announced operation depends on this one are worth trying again."""
        for lane in self.lanes:
            if self.sleep & lane.bit:
                if lane.obj is obj and dependent(lane.op, op):
                    self.sleep &= ~lane.bit
                elif self.has_handlers and lane.cpu is self.lane.cpu:
                    self.sleep &= ~lane.bit

    # Ends

    def _nobody(self) -> None:
        waiting = [lane for lane in self.lanes if not lane.finished]
        if not waiting:
            return
        self.ended = FAILED
        self.failed_check = "deadlock"
        self.failed_lane = waiting[0].number
        text = "; ".join(
            f"{lane_name(lane)} waits for {lane.obj!r}" for lane in waiting
        )
        self.failure = KernelBug(f"deadlock: {text}")

    def _livelock(self) -> None:
        self.ended = FAILED
        self.failed_check = "livelock"
        self.failed_lane = self.lane.number
        loop = self.loop()
        self.failure = KernelBug(
            f"livelock: no end after {self.n} steps; the last {len(loop)} steps were made over and over"
            if loop
            else f"livelock: no end after {self.n} steps"
        )

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
        if H.log:
            H.log.clear()
        for check in self.checks:
            check.begin()
        H.watcher = self
        H.cpus = self.cpus
        H.on = True
        self.booting = True
        position = 0
        for lane in self.lanes:
            lane.program = programs[position]
            position += 1
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
        """All CPUs as after boot, and the first of them current: a world can be built."""
        for cpu in self.cpus:
            cpu.irqs_on = True
            cpu.in_irq = 0
            cpu.rcu_nesting = 0
            cpu.rcu_section = 0
            cpu.locks_held = 0
            cpu.waiter = None
        H.cpus = self.cpus
        H.cpu = self.cpus[0]

    def schedule(self) -> list[int]:
        """The lanes of the steps of the last execution."""
        return [int(self.nodes[step].lane) for step in range(int(self.n))]

    def close(self) -> None:
        """End the greenlets, and leave the model as it is without an explorer. Nothing can be run afterwards."""
        from greenlet import GreenletExit

        detach()

        for lane in self.lanes:
            if lane.greenlet:
                self.lane = lane
                self.unwinding = True
                lane.greenlet.throw(GreenletExit)


def lane_name(lane: Lane) -> str:
    """CPU0, or CPU0's interrupt."""
    return f"{lane.cpu!r} (interrupt)" if lane.handler else f"{lane.cpu!r}"
