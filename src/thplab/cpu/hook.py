# SPDX-License-Identifier: GPL-2.0-only
"""The scheduling point: where a watcher can interrupt the code of the model.

Each primitive of this package passes a scheduling point before it touches shared memory. Without a
watcher that costs one compare (`if H.on`). An attached :class:`Watcher` may switch to another CPU
there, and learns what the operation did.

`H` holds what a real machine has in registers: which CPU runs this code now. It is the only global
of the model, and :class:`Entered` sets it for the time of an operation; all memory, the log of
warnings included, is owned by a Machine.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

__all__ = [
    "Cpu",
    "Entered",
    "H",
    "Hook",
    "QuiescentWaiter",
    "Watcher",
    "attach",
    "detach",
    "warn_once",
]


@mypyc_attr(allow_interpreted_subclasses=True)
class QuiescentWaiter:
    """Who wants to know that a CPU is in no read section any more: RCU."""

    def quiescent(self, cpu: Cpu) -> None:
        """The CPU has dropped its last spin lock, outside of rcu_read_lock()."""


class Cpu:
    """One CPU: what decides who may interrupt it and what it may do.

    Attributes:
        number: smp_processor_id().
        irqs_on: whether interrupts are enabled.
        in_irq: how many interrupt handlers are on its stack.
        rcu_nesting: depth of RCU read sections (0: none).
        rcu_section: a number that is new for each outermost read section.
        locks_held: spin locks held; a CPU that holds one may not sleep.
        waiter: a grace period waits for this CPU to leave its read section, its last spin lock included.
    """

    def __init__(self, number: i64) -> None:
        self.number: i64 = number
        self.irqs_on: bool = True
        self.in_irq: i64 = 0
        self.rcu_nesting: i64 = 0
        self.rcu_section: i64 = 0
        self.locks_held: i64 = 0
        self.waiter: QuiescentWaiter | None = None

    def __repr__(self) -> str:
        return f"CPU{self.number}"


@mypyc_attr(allow_interpreted_subclasses=True)
class Watcher:
    """What an explorer overrides. Each method is called only while a watcher is attached.

    `op` is a code of :mod:`thplab.cpu.ops`; `obj` is the word, lock or list that it is about.
    """

    def point(self, op: i64, obj: object) -> None:
        """An operation on `obj` is about to happen. May run other CPUs before it returns."""

    def block(self, op: i64, obj: object) -> None:
        """The operation cannot go on (a lock is held, a grace period has not ended).

        Returns when it is worth another look; the caller checks again.
        """

    def done(self, op: i64, obj: object, arg: object) -> None:
        """The operation happened: a lock was taken or dropped, a link was edited, an object freed.

        No other CPU may run inside this call. `arg` is what ops.py says for the code.
        """

    def fails(self, what: str) -> bool:
        """Whether the allocation `what` fails."""
        return False

    def warning(self, text: str) -> None:
        """The model's WARN_ON_ONCE(), VM_WARN_ON() or lockdep_assert fired."""


class Hook:
    """The current CPU, and the watcher if there is one.

    Attributes:
        on: whether a watcher is attached.
        watcher: the watcher; a do-nothing one when off.
        cpu: the CPU that runs the code; outside of :class:`Entered`, one that belongs to no machine.
        cpus: all CPUs that run code of the same machine.
        log: the warnings, each text once, with how often it came.
    """

    def __init__(self) -> None:
        self.on: bool = False
        self.watcher: Watcher = Watcher()
        self.cpu: Cpu = Cpu(0)
        self.cpus: list[Cpu] = [self.cpu]
        self.log: dict[str, int] = {}


H: Final = Hook()


class Entered:
    """Has code run on these CPUs, beginning with the first, and its warnings go to this log, inside a `with`.

    What was current before comes back at the end, whatever the code raises. So an exception that leaves
    interrupts off or a lock held leaves them so on these CPUs alone.
    """

    def __init__(self, cpus: list[Cpu], log: dict[str, int]) -> None:
        self.cpus: list[Cpu] = cpus
        self.log: dict[str, int] = log
        self.outer_cpu: Cpu = cpus[0]
        self.outer_cpus: list[Cpu] = cpus
        self.outer_log: dict[str, int] = log

    def __enter__(self) -> None:
        self.outer_cpu = H.cpu
        self.outer_cpus = H.cpus
        self.outer_log = H.log
        H.cpu = self.cpus[0]
        H.cpus = self.cpus
        H.log = self.log

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        H.cpu = self.outer_cpu
        H.cpus = self.outer_cpus
        H.log = self.outer_log


def attach(watcher: Watcher) -> None:
    """From now on each scheduling point asks `watcher`."""
    H.watcher = watcher
    H.on = True


def detach() -> None:
    """Detach the watcher."""
    H.on = False
    H.watcher = Watcher()


def warn_once(text: str) -> None:
    """WARN_ON_ONCE() (include/asm-generic/bug.h, 7.2): note the complaint and go on. So do its kin."""
    H.log[text] = H.log.get(text, 0) + 1
    if H.on:
        H.watcher.warning(text)
