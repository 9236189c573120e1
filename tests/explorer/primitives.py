# SPDX-License-Identifier: GPL-2.0-only
"""The programs of the enumerator, over the real primitives and under the explorer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.explorer.enumerator import LOCKS, WORDS, Instruction, Outcome, Program
from thplab.cpu.atomic import AtomicLong
from thplab.cpu.errors import KernelBug
from thplab.cpu.rcu import Rcu
from thplab.cpu.spinlock import LockClass, SpinLock, local_irq_disable, local_irq_enable
from thplab.explorer.core_check import Case, World
from thplab.explorer.core_reduce import NO_BOUND, Reduction
from thplab.explorer.core_search import Limits, Tally, search

__all__ = ["ProgramCase", "explore"]

KEY = LockClass("lock")


class ProgramWorld(World):
    """The words, locks and RCU of one execution."""

    def __init__(self, program: Program) -> None:
        self.code = (*program.cpus, *program.handlers)
        self.words = [AtomicLong() for _ in range(WORDS)]
        self.locks = [SpinLock(KEY) for _ in range(LOCKS)]
        self.rcu = Rcu()
        self.seen: list[list[int]] = [[] for _ in self.code]

    def programs(self) -> list[Callable[[], None]]:
        return [partial(self.run, lane) for lane in range(len(self.code))]

    def run(self, lane: int) -> None:
        for instruction in self.code[lane]:
            self.execute(lane, instruction)

    def execute(self, lane: int, instruction: Instruction) -> None:
        kind, arg = instruction
        seen = self.seen[lane]
        if kind == "lock":
            self.locks[arg].lock()
        elif kind == "unlock":
            self.locks[arg].unlock()
        elif kind == "try":
            if self.locks[arg].trylock():
                seen.append(self.words[0].add_return(1))
                self.locks[arg].unlock()
            else:
                seen.append(-1)
        elif kind == "rcu_lock":
            self.rcu.read_lock()
        elif kind == "rcu_unlock":
            self.rcu.read_unlock()
        elif kind == "sync":
            self.rcu.synchronize()
        elif kind == "irq_off":
            local_irq_disable()
        elif kind == "irq_on":
            local_irq_enable()
        elif kind == "read":
            seen.append(self.words[arg].read())
        elif kind == "add":
            self.words[arg].add(lane + 1)
        elif kind == "xchg":
            # What is stored depends on how much was seen, this time included.
            seen.append(self.words[arg].xchg(10 * lane + len(seen) + 1))
        elif kind == "plain":
            self.words[arg].plain_add(1)
        elif kind == "expect":
            if self.words[arg].read() == 2:
                raise KernelBug(f"lane {lane} saw 2")
        else:
            raise AssertionError(kind)

    def state(self) -> object:
        return tuple(word.value for word in self.words), tuple(tuple(seen) for seen in self.seen)


class ProgramCase(Case):
    """A program as a case."""

    def __init__(self, program: Program) -> None:
        super().__init__("program", len(program.cpus))
        self.program = program
        self.handlers = list(program.hosts)
        self.max_steps = 500

    def build(self) -> World:
        return ProgramWorld(self.program)


def explore(
    program: Program,
    bound: int | None,
    *,
    engine: type[Reduction] = Reduction,
    reduce: bool = True,
    most: int = 100_000,
) -> tuple[set[Outcome], Tally]:
    """The outcomes that the explorer finds."""
    case = ProgramCase(program)
    searching = engine(case, [], NO_BOUND if bound is None else bound)
    searching.reduce = reduce
    # Said beforehand, so that equivalent executions have one hash from the first on.
    searching.grace_periods = any(kind == "sync" for code in program.cpus for kind, _ in code)
    tally = Tally(collect=True, every=True)
    search(searching, case, Limits(most), tally)
    searching.close()
    assert tally.exhausted
    outcomes: set[Outcome] = {state for state in tally.states if isinstance(state, tuple)}
    for failure in tally.failures:
        outcomes.add(("deadlock",) if failure.check == "deadlock" else ("bug", failure.text()))
    return outcomes, tally
