# SPDX-License-Identifier: GPL-2.0-only
"""Small random programs, and every interleaving of them by brute force.

Written without the explorer and without the primitives: a program is a list of instructions, a CPU
a generator that yields before each step when that step can be made. Whatever the explorer says of
the same program over the real primitives must be the same set of outcomes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

__all__ = ["Outcome", "Program", "enumerate_outcomes", "random_program"]

Instruction = tuple[str, int]
Outcome = tuple[object, ...]
WORDS = 2
LOCKS = 2


@dataclass(frozen=True)
class Program:
    """Instructions of each CPU, then of each interrupt handler; and the CPU of each handler."""

    cpus: tuple[tuple[Instruction, ...], ...]
    handlers: tuple[tuple[Instruction, ...], ...] = ()
    hosts: tuple[int, ...] = ()


def random_program(
    seed: int, kinds: tuple[str, ...], cpus: int, length: int, handlers: int = 0
) -> Program:
    """A program of up to `length` instructions for each CPU, with every lock and section closed."""
    dice = random.Random(seed)
    return Program(
        tuple(_random_cpu(dice, kinds, length) for _ in range(cpus)),
        tuple(
            tuple(
                (dice.choice(("add", "read", "xchg")), dice.randrange(WORDS))
                for _ in range(dice.randint(1, 2))
            )
            for _ in range(handlers)
        ),
        tuple(dice.randrange(cpus) for _ in range(handlers)),
    )


def _random_cpu(
    dice: random.Random, kinds: tuple[str, ...], length: int
) -> tuple[Instruction, ...]:
    code: list[Instruction] = []
    held: list[int] = []
    section = False
    for _ in range(dice.randint(1, length)):
        kind = dice.choice(kinds)
        word = dice.randrange(WORDS)
        if kind == "lock":
            free = [lock for lock in range(LOCKS) if lock not in held]
            if held and (not free or dice.random() < 0.6):
                code.append(("unlock", held.pop()))
            else:
                held.append(dice.choice(free))
                code.append(("lock", held[-1]))
        elif kind == "rcu":
            if not held:
                code.append(("rcu_unlock" if section else "rcu_lock", 0))
                section = not section
        elif kind == "sync":
            if not held and not section:
                code.append(("sync", 0))
        elif kind == "irq":
            code += [("irq_off", 0), (dice.choice(("add", "read", "xchg")), word), ("irq_on", 0)]
        else:
            code.append((kind, word))
    code += [("unlock", lock) for lock in reversed(held)]
    if section:
        code.append(("rcu_unlock", 0))
    return tuple(code)


class Bug(Exception):
    """An `expect` that was not met."""


@dataclass
class Memory:
    """What the CPUs share."""

    words: list[int] = field(default_factory=lambda: [0] * WORDS)
    owners: list[int | None] = field(default_factory=lambda: [None] * LOCKS)
    sections: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)
    waits: list[set[int]] = field(default_factory=list)
    irqs_on: dict[int, bool] = field(default_factory=dict)
    in_irq: dict[int, bool] = field(default_factory=dict)
    seen: list[list[int]] = field(default_factory=list)

    def leave(self, cpu: int) -> None:
        """A read section or a lock was dropped."""
        if not self.sections.get(cpu, 0) and not self.held.get(cpu, 0):
            for readers in self.waits:
                readers.discard(cpu)


Enabled = Callable[[], bool]


def _always() -> bool:
    return True


def _run(
    memory: Memory, lane: int, cpu: int, code: tuple[Instruction, ...], irqs: bool
) -> Generator[Enabled, None, None]:
    """The steps of one lane: yields when the next one can be made, then makes it."""
    seen = memory.seen[lane]
    words = memory.words
    for kind, arg in code:
        if kind == "lock":
            yield lambda lock=arg: memory.owners[lock] is None  # type: ignore[misc]
            memory.owners[arg] = cpu
            memory.held[cpu] = memory.held.get(cpu, 0) + 1
        elif kind == "unlock":
            yield _always
            memory.owners[arg] = None
            memory.held[cpu] -= 1
            memory.leave(cpu)
        elif kind == "try":
            yield _always
            if memory.owners[arg] is None:
                memory.owners[arg] = cpu
                memory.held[cpu] = memory.held.get(cpu, 0) + 1
                yield _always
                words[0] += 1
                seen.append(words[0])
                yield _always
                memory.owners[arg] = None
                memory.held[cpu] -= 1
                memory.leave(cpu)
            else:
                seen.append(-1)
        elif kind == "rcu_lock":
            yield _always
            memory.sections[cpu] = 1
        elif kind == "rcu_unlock":
            yield _always
            memory.sections[cpu] = 0
            memory.leave(cpu)
        elif kind == "sync":
            yield _always
            readers = {
                other
                for other in set(memory.sections) | set(memory.held)
                if memory.sections.get(other, 0) or memory.held.get(other, 0)
            }
            if readers:
                memory.waits.append(readers)
                yield lambda left=readers: not left  # type: ignore[misc]
        elif kind == "irq_off":
            if irqs:
                yield _always
            memory.irqs_on[cpu] = False
        elif kind == "irq_on":
            memory.irqs_on[cpu] = True
            if irqs:
                yield _always
        else:
            yield from _word(words, seen, kind, arg, lane)


def _word(
    words: list[int], seen: list[int], kind: str, arg: int, lane: int
) -> Generator[Enabled, None, None]:
    yield _always
    if kind == "read":
        seen.append(words[arg])
    elif kind == "add":
        words[arg] += lane + 1
    elif kind == "xchg":
        seen.append(words[arg])
        words[arg] = 10 * lane + len(seen)
    elif kind == "plain":
        value = words[arg]
        yield _always
        words[arg] = value + 1
    elif kind == "expect":
        if words[arg] == 2:
            raise Bug(f"lane {lane} saw 2")
    else:
        raise AssertionError(kind)


def _handler(
    memory: Memory, lane: int, cpu: int, code: tuple[Instruction, ...]
) -> Generator[Enabled, None, None]:
    yield lambda: memory.irqs_on.get(cpu, True) and not memory.in_irq.get(cpu, False)
    before = memory.irqs_on.get(cpu, True)
    memory.irqs_on[cpu] = False
    memory.in_irq[cpu] = True
    yield from _run(memory, lane, cpu, code, True)
    memory.in_irq[cpu] = False
    memory.irqs_on[cpu] = before


class _Machine:
    """One execution, step by step."""

    def __init__(self, program: Program) -> None:
        lanes = len(program.cpus) + len(program.handlers)
        self.memory = Memory(seen=[[] for _ in range(lanes)])
        self.cpus = len(program.cpus)
        self.hosts = [*range(self.cpus), *program.hosts]
        irqs = bool(program.handlers)
        self.lanes: list[Generator[Enabled, None, None]] = [
            _run(self.memory, lane, lane, code, irqs) for lane, code in enumerate(program.cpus)
        ]
        self.lanes += [
            _handler(self.memory, self.cpus + number, host, code)
            for number, (code, host) in enumerate(zip(program.handlers, program.hosts, strict=True))
        ]
        self.pending: list[Enabled | None] = [next(lane, None) for lane in self.lanes]
        self.outcome: Outcome | None = None

    def enabled(self) -> list[int]:
        """The lanes that can make a step."""
        if self.outcome is not None:
            return []
        found = []
        for lane, pending in enumerate(self.pending):
            if pending is None:
                continue
            if lane < self.cpus and self.memory.in_irq.get(lane, False):
                continue
            if pending():
                found.append(lane)
        if not found:
            if any(pending is not None for pending in self.pending):
                self.outcome = ("deadlock",)
            else:
                memory = self.memory
                self.outcome = (tuple(memory.words), tuple(tuple(seen) for seen in memory.seen))
        return found

    def step(self, lane: int) -> None:
        """One step."""
        try:
            self.pending[lane] = next(self.lanes[lane], None)
        except Bug as bug:
            self.outcome = ("bug", str(bug))


def _schedules(program: Program) -> Iterator[tuple[int, Outcome]]:
    """Every schedule: how many preemptions it has, and its outcome."""
    prefix: list[tuple[int, list[int]]] = []
    while True:
        machine = _Machine(program)
        preemptions = 0
        previous = -1
        depth = 0
        while True:
            enabled = machine.enabled()
            if machine.outcome is not None:
                break
            if depth == len(prefix):
                prefix.append((enabled[0], enabled[1:]))
            lane = prefix[depth][0]
            if previous in enabled and lane != previous:
                preemptions += 1
            machine.step(lane)
            previous = lane
            depth += 1
        yield preemptions, machine.outcome
        while prefix and not prefix[-1][1]:
            prefix.pop()
        if not prefix:
            return
        _, rest = prefix.pop()
        prefix.append((rest[0], rest[1:]))


def enumerate_outcomes(program: Program, most: int) -> dict[Outcome, int] | None:
    """Each outcome with the fewest preemptions that lead to it; None: more than `most` schedules."""
    found: dict[Outcome, int] = {}
    for number, (preemptions, outcome) in enumerate(_schedules(program)):
        if number >= most:
            return None
        found[outcome] = min(preemptions, found.get(outcome, preemptions))
    return found
