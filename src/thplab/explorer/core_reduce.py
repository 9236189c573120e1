# SPDX-License-Identifier: GPL-2.0-only
"""All schedules up to a bound on preemptions, each equivalence class of them once or a few times.

Dynamic partial-order reduction (Flanagan and Godefroid, POPL 2005): after each execution, for each
step and the latest step of another lane that it races with, the later lane must also be tried
before the earlier step.

With a bound on preemptions that alone loses executions: the lane may be affordable only where the
running one was switched in, where a switch costs nothing. So the lane is tried there too: the
conservative backtrack points of Coons, Musuvathi and McKinley (OOPSLA 2013).

Sleep sets (Godefroid 1996) lose executions under a bound as well: a lane goes to sleep because
all that follows its step here has been searched, but with other costs. Let t have been searched
from a state, and t' be tried next. An execution  t' w t ...  is equivalent to  t t' w ...,  whose
preemptions differ from the first's by a constant, known when t' is tried: the cost of switching to
t here, plus the cost of leaving t for t' (one if t can go on), minus the cost of switching to t'
here. Only where that is not positive has the equivalent execution been within the bound, and
only then may t sleep. A step that enables another lane never sleeps: moved forward, it would turn
a free switch into a preemption.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.ops import (
    COMPLETION,
    GRACE_PERIOD_WAIT,
    LOCK,
    MUTEX_LOCK,
    MUTEX_UNLOCK,
    RCU_UNLOCK,
    REF_PUT,
    UNLOCK,
    WRITE,
)
from thplab.explorer.core import Engine
from thplab.explorer.core_check import Case, Check
from thplab.explorer.core_step import Lane, Node, dependent, effect

__all__ = ["NO_BOUND", "Reduction"]

NO_BOUND: Final[i64] = 1 << 30
_FULL: Final[i64] = 4
_OP_BITS: Final[i64] = 6


def reversible(earlier: i64, later: i64) -> bool:
    """Whether the two could have come in the other order; what waited for the other could not."""
    if later == LOCK:
        return earlier != UNLOCK
    if later == MUTEX_LOCK:
        return earlier != MUTEX_UNLOCK
    if later == COMPLETION:
        return earlier != REF_PUT
    return later != GRACE_PERIOD_WAIT


def releases(op: i64) -> bool:
    """Whether the operation may let another lane go on."""
    return op == UNLOCK or op == MUTEX_UNLOCK or op == RCU_UNLOCK or op == REF_PUT


@mypyc_attr(allow_interpreted_subclasses=True)
class Reduction(Engine):
    """Depth-first search over schedules, by repeated execution.

    Attributes:
        bound: how many preemptions an execution may have.
        reduce: False searches every schedule within the bound (the figures to compare with).
        floor: steps above which nothing is tried: the search of one subtree.
        escaped: backtrack points above the floor, as (step, mask of lanes).
    """

    def __init__(self, case: Case, checks: list[Check], bound: i64) -> None:
        super().__init__(case, checks)
        self.bound = bound
        self.reduce: bool = True
        self.floor: i64 = 0
        self.escaped: dict[int, int] = {}
        self.events: dict[object, list[int]] = {}
        self.nothing: list[int] = [0] * len(self.lanes)
        self.past: list[list[int]] = [self.nothing for _ in self.lanes]
        self.scratch: list[int] = [0] * len(self.lanes)
        self.last_step: list[int] = [-1] * len(self.lanes)
        self.entry_step: list[int] = [-1] * len(self.lanes)

    # The races of the last execution

    def learn(self) -> None:
        """Add the backtrack points that the last execution calls for."""
        if not self.reduce:
            for step in range(int(self.floor), int(self.n)):
                self.nodes[step].backtrack = self.nodes[step].enabled
            if not self.hashes:
                return
        self.events.clear()
        for lane in self.lanes:
            self.past[lane.number] = self.nothing
            self.last_step[lane.number] = -1
            self.entry_step[lane.number] = -1
        for step in range(int(self.n)):
            self._learn_step(step)
        if self.cut_short:
            self._learn_pending()
        self.events.clear()

    def _learn_step(self, step: i64) -> None:
        node = self.nodes[step]
        number = node.lane
        if step >= self.known:
            clock = node.clock
            base = self.past[number]
            for index in range(len(clock)):
                clock[index] = base[index]
            self._races(number, node.op, node.obj, base, clock)
            if node.extra_ops:
                for position in range(len(node.extra_ops)):
                    self._races(
                        number, node.extra_ops[position], node.extra_objs[position], base, clock
                    )
            if self.has_handlers:
                self._same_cpu(step, node, base, clock)
            clock[number] = int(node.index) + 1
        self.past[number] = node.clock
        self._remember(node.obj, step, node.op)
        if node.extra_ops:
            for position in range(len(node.extra_ops)):
                self._remember(node.extra_objs[position], step, node.extra_ops[position])
        if self.has_handlers:
            if self.last_step[number] < 0:
                self.entry_step[number] = int(step)
            self.last_step[number] = int(step)

    def _remember(self, obj: object, step: i64, op: i64) -> None:
        code = int(step << _OP_BITS | op)
        events = self.events.get(obj)
        if events is None:
            self.events[obj] = [code]
        else:
            events.append(code)

    def _races(self, number: i64, op: i64, obj: object, base: list[int], clock: list[int]) -> None:
        """Join `clock` with what the operation comes after; note the races among that."""
        events = self.events.get(obj)
        if events is None:
            return
        bounded = self.bound < NO_BOUND
        seen: i64 = 0
        position: i64 = len(events) - 1
        while position >= 0:
            code: i64 = events[position]
            position -= 1
            other: i64 = code & 63
            earlier = self.nodes[code >> _OP_BITS]
            if earlier.lane == number:
                if effect(other) == _FULL:
                    return
                continue
            if not dependent(other, op):
                continue
            self._join(clock, earlier.clock)
            known = base[earlier.lane] > earlier.index
            if known:
                if effect(other) == _FULL:
                    # All before it is known as well.
                    return
                continue
            bit: i64 = 1 << earlier.lane
            if reversible(other, op):
                if bounded:
                    # The bound may not allow reversing the latest race where it allows reversing an earlier one.
                    self._race(code >> _OP_BITS, number)
                else:
                    if not seen & bit:
                        self._race(code >> _OP_BITS, number)
                    if earlier.enabled >> number & 1:
                        # Else the lane was waiting there: what it waited for is further back.
                        seen |= bit
                        if effect(other) == _FULL:
                            return
            elif bounded and earlier.enabled >> number & 1:
                # Before the release the lane could have gone as far as the lock and waited there, which
                # makes the switch away from it free.
                self._race(code >> _OP_BITS, number)

    def _join(self, clock: list[int], other: list[int]) -> None:
        for index in range(len(clock)):
            clock[index] = max(clock[index], other[index])

    def _same_cpu(self, step: i64, node: Node, base: list[int], clock: list[int]) -> None:
        """A handler's entry comes before or after each step of its CPU, and its steps come in one piece."""
        lane = self.lanes[node.lane]
        entry = lane.handler and node.index == 0
        if lane.handler and not entry:
            return
        for other in self.lanes:
            if other is lane or other.cpu is not lane.cpu or self.last_step[other.number] < 0:
                continue
            self._join(clock, self.nodes[self.last_step[other.number]].clock)
            if other.handler:
                first: i64 = self.entry_step[other.number]
                if base[other.number] == 0:
                    self._race(first, lane.number)
            elif entry:
                self._race_entry(step, lane, other, base)

    def _race_entry(self, step: i64, handler: Lane, host: Lane, base: list[int]) -> None:
        """The interrupt could have come before the latest step of its CPU that had interrupts on."""
        earlier: i64 = step - 1
        while earlier >= 0:
            node = self.nodes[earlier]
            if node.lane == host.number and node.enabled & handler.bit:
                if base[host.number] <= node.index:
                    self._race(earlier, handler.number)
                return
            earlier -= 1

    def _learn_pending(self) -> None:
        """The operations that were announced and never made race as well."""
        stopped = self.failure is not None and self.n > 0 and self.failed_check != "deadlock"
        for lane in self.lanes:
            if not self.cut_short & lane.bit:
                continue
            if stopped and lane.number != self.nodes[self.n - 1].lane:
                # A failure ends all lanes: its order matters to each of them.
                self._race(self.n - 1, lane.number)
            op = lane.op
            if op == RCU_UNLOCK:
                op = WRITE
            base = self.past[lane.number]
            self._races(lane.number, op, lane.obj, base, self.scratch)
            if self.has_handlers and lane.handler and not lane.entered:
                for other in self.lanes:
                    if other.cpu is lane.cpu and not other.handler:
                        self._race_entry(self.n, lane, other, base)

    def trace_hash(self) -> int:
        """A hash that equivalent executions share: their partial order, which the clocks hold."""
        total = 0
        for step in range(int(self.n)):
            node = self.nodes[step]
            total ^= hash((int(node.lane), int(node.index), *node.clock))
        return total

    # Backtrack points

    def _race(self, step: i64, number: i64) -> None:
        """The lane must be tried before the step, and where the step's lane was switched in."""
        self._try_before(step, number)
        if self.bound < NO_BOUND:
            first = self._block_start(step)
            if first != step:
                self._try_before(first, number)

    def _block_start(self, step: i64) -> i64:
        """The first step of the uninterrupted run that `step` belongs to."""
        number = self.nodes[step].lane
        while step > 0 and self.nodes[step - 1].lane == number:
            step -= 1
        return step

    def _try_before(self, step: i64, number: i64) -> None:
        node = self.nodes[step]
        bit: i64 = 1 << number
        if not node.enabled & bit or node.sleep & bit:
            bit = node.enabled
        node.backtrack |= bit
        if step < self.floor:
            self.escaped[int(step)] = self.escaped.get(int(step), 0) | int(bit)

    # Sleep

    def _falls_asleep(self, node: Node) -> i64:
        asleep = node.sleep
        if not self.reduce:
            return 0
        for lane in self.lanes:
            if node.done & lane.bit and lane.number != node.lane and not asleep & lane.bit:
                if lane.handler or releases(lane.op) or node.frees & lane.bit:
                    continue
                if self.bound >= NO_BOUND or self._no_dearer(node, lane):
                    asleep |= lane.bit
        return asleep

    def _no_dearer(self, node: Node, lane: Lane) -> bool:
        """Whether the lane's step, moved to here from later on, costs no further preemption."""
        here = self._cost(node, lane.number)
        leave: i64 = 1 if node.stays & lane.bit else 0
        return here + leave - self._cost(node, node.lane) <= 0

    def _cost(self, node: Node, number: i64) -> i64:
        previous = node.previous
        if previous >= 0 and previous != number and node.enabled >> previous & 1:
            return 1
        return 0

    def affords(self, step: i64, number: i64) -> bool:
        """Whether the bound allows the lane at this step."""
        node = self.nodes[step]
        return node.preemptions + self._cost(node, number) <= self.bound

    # The next schedule

    def advance(self) -> bool:
        """Plan the next execution: the deepest alternative that is left. False: there is none."""
        step = self.n - 1
        while step >= self.floor:
            node = self.nodes[step]
            left = node.backtrack & ~node.done & ~node.sleep
            while left:
                number: i64 = 0
                while not left >> number & 1:
                    number += 1
                bit: i64 = 1 << number
                left &= ~bit
                if node.preemptions + self._cost(node, number) > self.bound:
                    self.pruned = True
                    # Not done: it is not searched, and so may not sleep.
                    node.backtrack &= ~bit
                    continue
                node.lane = number
                node.done |= bit
                self.planned = step + 1
                self.known = step
                return True
            step -= 1
        return False
