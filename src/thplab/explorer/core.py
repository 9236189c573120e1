# SPDX-License-Identifier: GPL-2.0-only
"""One execution: CPUs as greenlets, and the scheduling point that decides who goes on.

Each CPU's program, and each interrupt handler, is a *lane*. A lane runs natively until it announces
an operation at a scheduling point; the operation and all that follows it up to the next announcement
is one *step*. At each point it is decided which lane makes the next step, and only when that is
another one does a greenlet switch happen.

A lane whose announced operation cannot go on (a lock that another CPU holds, a grace period with
readers left) is not enabled and is never chosen, so waiting costs no step. When some lanes have not
finished and none is enabled, that is a deadlock.
"""

from __future__ import annotations

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import H
from thplab.cpu.ops import (
    ADD,
    FREE,
    GRACE_PERIOD,
    GRACE_PERIOD_WAIT,
    IRQ_ENTRY,
    IRQ_OFF,
    IRQ_ON,
    LINK,
    LOCK,
    NAMES,
    READ,
    TRYLOCK,
    UNLINK,
    UNLOCK,
    WRITE,
)
from thplab.cpu.rcu import GracePeriod
from thplab.explorer.core_execution import COMPLETE, CUT, FAILED, Execution
from thplab.explorer.core_step import (
    Lane,
    Node,
    Stop,
    dependent,
)

__all__ = ["COMPLETE", "CUT", "FAILED", "Engine"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Engine(Execution):
    """Runs executions of one case, step by step. Its attributes are those of Execution."""

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
        """The lane's program has ended: another lane continues, or the execution ends."""
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
        if self.checks:
            for check in self.after[op]:
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

    def plan(self, schedule: list[int]) -> None:
        """Have the next execution follow the schedule, and go on by itself after its end."""
        self.nodes = [Node(len(self.lanes)) for _ in schedule]
        for step in range(len(schedule)):
            self.nodes[step].lane = schedule[step]
        self.planned = len(schedule)
        self.known = 0

    def choose(self) -> i64:
        """The lane that makes the next step; -1 if the execution has ended (see :attr:`ended`)."""
        n = self.n
        mask: i64 = 0
        for lane in self.lanes:
            if lane.enabled():
                mask |= lane.bit
        if mask == 0:
            self._none_enabled()
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

    # What a strategy overrides

    def pick(self, step: i64, previous: i64, enabled: i64) -> i64:
        """For strategies that decide at each step (with `driven`): one of the lanes of the mask."""
        raise NotImplementedError

    def learn(self) -> None:
        """Note what the last execution has shown."""

    def advance(self) -> bool:
        """Plan the next execution. False: there is none."""
        return False

    def trace_hash(self) -> int:
        """A hash that equivalent executions share; without a reduction each is only like itself."""
        return hash(tuple(self.schedule()))

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
        if self.checks:
            for check in self.before[op]:
                check.point(lane.number, op, lane.obj)

    def _reader_or_grace_period(self, node: Node, op: i64) -> None:
        """A grace period waits for each CPU that holds a spin lock when it begins: their order matters."""
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
            if self.sleep & lane.bit and (
                (lane.obj is obj and dependent(lane.op, op))
                or (self.has_handlers and lane.cpu is self.lane.cpu)
            ):
                self.sleep &= ~lane.bit
