# SPDX-License-Identifier: GPL-2.0-only
"""Lock order and interrupt safety by lock class (kernel/locking/lockdep.c, 7.2).

Two locks of one class are one lock to these rules: so a rule can be broken by one run in which
nothing goes wrong, as on a real kernel.
"""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.ops import LOCK, MUTEX_LOCK, MUTEX_UNLOCK, TRYLOCK, UNLOCK
from thplab.cpu.spinlock import Mutex, SpinLock
from thplab.explorer.core_check import Check, CheckFailed, World

__all__ = ["Lockdep"]

_IN_IRQ = 1
_IRQS_ON = 2


class Lockdep(Check):
    """Order cycles, irq-safe against irq-unsafe use, and locks held at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "lockdep"
        self.held: list[list[tuple[str, object]]] = []
        self.usage: dict[str, int] = {}
        self.after: dict[str, set[str]] = {}

    def done_mask(self) -> i64:
        """Locks taken and dropped."""
        return (
            (1 << LOCK) | (1 << TRYLOCK) | (1 << UNLOCK) | (1 << MUTEX_LOCK) | (1 << MUTEX_UNLOCK)
        )

    def begin(self) -> None:
        """Nothing is held; classes are learnt anew, so that one schedule always gives one report."""
        self.held = [[] for _ in self.cpus]
        self.usage = {}
        self.after = {}

    def done(self, lane: i64, op: i64, obj: object, arg: object) -> None:
        """A lock was taken or is about to be dropped."""
        cpu = H.cpu
        held = self.held[cpu.number]
        if op == UNLOCK or op == MUTEX_UNLOCK:
            for position in range(len(held) - 1, -1, -1):
                if held[position][1] is obj:
                    del held[position]
                    return
            raise CheckFailed(self.name, f"bad unlock balance detected: {obj!r} on {cpu!r}")
        if isinstance(obj, SpinLock):
            name = obj.key.name
            if obj.subclass:
                name = f"{name}/{obj.subclass}"
            self._usage(name, obj)
        else:
            assert isinstance(obj, Mutex)
            name = obj.key.name
        if op != TRYLOCK:
            # A trylock never waits, so it closes no cycle.
            for other, _ in held:
                self._order(other, name)
        held.append((name, obj))

    def _usage(self, name: str, lock: SpinLock) -> None:
        """A class taken in interrupts may be held nowhere with interrupts on."""
        cpu = H.cpu
        bits = self.usage.get(name, 0)
        if cpu.in_irq:
            bits |= _IN_IRQ
        elif cpu.irqs_on:
            bits |= _IRQS_ON
        self.usage[name] = bits
        if bits == _IN_IRQ | _IRQS_ON:
            raise CheckFailed(
                self.name,
                f"inconsistent lock state: class {name} is taken in an interrupt "
                f"({{IN-SOFTIRQ-W}}) and with interrupts on ({{SOFTIRQ-ON-W}}), here by {cpu!r}",
            )

    def _order(self, first: str, second: str) -> None:
        if first == second:
            raise CheckFailed(
                self.name,
                f"possible recursive locking detected: two locks of class {first} are nested "
                "without a subclass",
            )
        following = self.after.setdefault(first, set())
        if second in following:
            return
        following.add(second)
        if self._reaches(second, first, set()):
            raise CheckFailed(
                self.name,
                f"possible circular locking dependency detected: {first} -> {second}, "
                f"and {second} comes before {first} elsewhere",
            )

    def _reaches(self, start: str, goal: str, seen: set[str]) -> bool:
        if start == goal:
            return True
        seen.add(start)
        return any(
            self._reaches(following, goal, seen)
            for following in sorted(self.after.get(start, set()))
            if following not in seen
        )

    def end(self, world: World) -> None:
        """No CPU may be left with a lock, and no irq-safe class may wait for an unsafe one."""
        for number, held in enumerate(self.held):
            if held:
                raise CheckFailed(
                    self.name,
                    f"lock held when returning to user space: {held[-1][1]!r} by CPU{number}",
                )
        for name in sorted(self.usage):
            if self.usage[name] & _IN_IRQ:
                for other in sorted(self.after.get(name, set())):
                    if self.usage.get(other, 0) & _IRQS_ON:
                        raise CheckFailed(
                            self.name,
                            f"SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected: {name} -> {other}",
                        )
