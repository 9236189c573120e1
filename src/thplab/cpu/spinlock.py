# SPDX-License-Identifier: GPL-2.0-only
"""Spin locks, interrupts on and off, and mutexes (include/linux/spinlock.h, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from thplab.cpu.errors import LockBug
from thplab.cpu.hook import Cpu, H, warn_once
from thplab.cpu.ops import (
    IRQ_OFF,
    IRQ_ON,
    LOCK,
    MUTEX_LOCK,
    MUTEX_UNLOCK,
    TRYLOCK,
    UNLOCK,
)

__all__ = [
    "IRQ",
    "IRQSAVE",
    "PLAIN",
    "LockClass",
    "Mutex",
    "SpinLock",
    "local_irq_disable",
    "local_irq_enable",
    "might_sleep",
]

PLAIN: Final[i64] = 0
IRQ: Final[i64] = 1
IRQSAVE: Final[i64] = 2


class LockClass:
    """struct lock_class_key: locks of one class are one lock for lockdep's rules.

    By default all locks that one statement initialises share a class; a key gives a lock its own.
    """

    def __init__(self, name: str) -> None:
        self.name: str = name

    def __repr__(self) -> str:
        return self.name


class SpinLock:
    """spinlock_t. `key` is its lock class.

    The interrupt state that the irqsave form saves is kept in the lock, for only its holder may
    look at it.
    """

    def __init__(self, key: LockClass) -> None:
        self.key: LockClass = key
        self.owner: Cpu | None = None
        self.subclass: i64 = 0
        self.irqs_saved: bool = True

    def __repr__(self) -> str:
        return f"{self.key.name}{{held by {self.owner}}}" if self.owner else self.key.name

    def acquire(self, mode: i64, subclass: i64 = 0) -> None:
        """spin_lock(), spin_lock_irq(), spin_lock_irqsave(): which of them, `mode` says.

        Args:
            mode: PLAIN, IRQ or IRQSAVE.
            subclass: spin_lock_nested(): tells lockdep that a lock of the same class is held on purpose.

        Raises:
            LockBug: this CPU holds the lock already.
        """
        cpu = H.cpu
        was_on = cpu.irqs_on
        if mode != PLAIN:
            if H.on:
                H.watcher.point(IRQ_OFF, cpu)
            cpu.irqs_on = False
        if H.on:
            H.watcher.point(LOCK, self)
            while self.owner is not None and self.owner is not cpu:
                H.watcher.block(LOCK, self)
        if self.owner is not None:
            raise LockBug(f"possible recursive locking detected: {self!r} wanted by {cpu!r}")
        self.owner = cpu
        self.irqs_saved = was_on
        cpu.locks_held += 1
        if H.on:
            self.subclass = subclass
            H.watcher.done(LOCK, self, mode)

    def trylock(self) -> bool:
        """spin_trylock()."""
        if H.on:
            H.watcher.point(TRYLOCK, self)
        if self.owner is not None:
            return False
        cpu = H.cpu
        self.owner = cpu
        self.irqs_saved = cpu.irqs_on
        cpu.locks_held += 1
        if H.on:
            H.watcher.done(TRYLOCK, self, PLAIN)
        return True

    def release(self, mode: i64) -> None:
        """spin_unlock(), spin_unlock_irq(), spin_unlock_irqrestore(): which of them, `mode` says.

        Raises:
            LockBug: this CPU does not hold the lock.
        """
        cpu = H.cpu
        if self.owner is not cpu:
            raise LockBug(f"bad unlock balance detected: {self!r} released by {cpu!r}")
        if H.on:
            H.watcher.point(UNLOCK, self)
            H.watcher.done(UNLOCK, self, mode)
        self.owner = None
        cpu.locks_held -= 1
        if H.on and cpu.waiter is not None and cpu.locks_held == 0 and cpu.rcu_nesting == 0:
            cpu.waiter.quiescent(cpu)
        if mode == IRQ or (mode == IRQSAVE and self.irqs_saved):
            cpu.irqs_on = True
            if H.on:
                H.watcher.point(IRQ_ON, cpu)

    def lock(self) -> None:
        """spin_lock()."""
        self.acquire(PLAIN)

    def lock_nested(self, subclass: i64) -> None:
        """spin_lock_nested()."""
        self.acquire(PLAIN, subclass)

    def unlock(self) -> None:
        """spin_unlock()."""
        self.release(PLAIN)

    def lock_irq(self) -> None:
        """spin_lock_irq(): the matching unlock turns interrupts on, whatever they were."""
        self.acquire(IRQ)

    def unlock_irq(self) -> None:
        """spin_unlock_irq()."""
        self.release(IRQ)

    def lock_irqsave(self) -> None:
        """spin_lock_irqsave(): the matching unlock restores the interrupt state."""
        self.acquire(IRQSAVE)

    def unlock_irqrestore(self) -> None:
        """spin_unlock_irqrestore()."""
        self.release(IRQSAVE)

    def assert_held(self) -> None:
        """lockdep_assert_held() (include/linux/lockdep.h)."""
        if self.owner is not H.cpu:
            warn_once(
                f"WARNING: {self.key.name} is not held where it must be (lockdep_assert_held)"
            )


def local_irq_disable() -> None:
    """local_irq_disable() (include/linux/irqflags.h)."""
    if H.on:
        H.watcher.point(IRQ_OFF, H.cpu)
    H.cpu.irqs_on = False


def local_irq_enable() -> None:
    """local_irq_enable() (include/linux/irqflags.h): a pending interrupt may come at once."""
    H.cpu.irqs_on = True
    if H.on:
        H.watcher.point(IRQ_ON, H.cpu)


def might_sleep(what: str) -> None:
    """might_sleep() (include/linux/kernel.h): complain about a caller that may not sleep."""
    cpu = H.cpu
    if cpu.locks_held or cpu.in_irq or not cpu.irqs_on:
        raise LockBug(f"BUG: sleeping function called from invalid context: {what} on {cpu!r}")
    if cpu.rcu_nesting:
        raise LockBug(
            f"BUG: sleeping function called inside an RCU read section: {what} on {cpu!r}"
        )


class Mutex:
    """struct mutex: a lock that is waited for asleep."""

    def __init__(self, key: LockClass) -> None:
        self.key: LockClass = key
        self.owner: Cpu | None = None

    def __repr__(self) -> str:
        return self.key.name

    def lock(self) -> None:
        """mutex_lock() (kernel/locking/mutex.c).

        Raises:
            LockBug: in a context that may not sleep, or held by this CPU already.
        """
        might_sleep(self.key.name)
        cpu = H.cpu
        if H.on:
            H.watcher.point(MUTEX_LOCK, self)
            while self.owner is not None and self.owner is not cpu:
                H.watcher.block(MUTEX_LOCK, self)
        if self.owner is not None:
            raise LockBug(f"possible recursive locking detected: {self!r} wanted by {cpu!r}")
        self.owner = cpu
        if H.on:
            H.watcher.done(MUTEX_LOCK, self, None)

    def unlock(self) -> None:
        """mutex_unlock() (kernel/locking/mutex.c)."""
        if self.owner is not H.cpu:
            raise LockBug(f"bad unlock balance detected: {self!r} released by {H.cpu!r}")
        if H.on:
            H.watcher.point(MUTEX_UNLOCK, self)
            H.watcher.done(MUTEX_UNLOCK, self, None)
        self.owner = None
