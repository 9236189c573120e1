# SPDX-License-Identifier: GPL-2.0-only
"""Read-copy-update: read sections, grace periods and deferred frees (include/linux/rcupdate.h, 7.2).

Code that holds a spin lock is in a read section too, as on a real kernel, where it cannot be
preempted (synchronize_rcu() has waited for such code since 4.20); list_lru relies on it. The model
counts it while a watcher is attached, for only then are there other CPUs.

A grace period ends as soon as each read section that was under way when it began has ended. The
model ends it at that very moment, the earliest that a real kernel could: what is found to be safe
here is safe with any later end.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from thplab.cpu.errors import RcuBug
from thplab.cpu.hook import Cpu, H, QuiescentWaiter
from thplab.cpu.ops import GRACE_PERIOD, GRACE_PERIOD_WAIT, RCU_LOCK, RCU_UNLOCK
from thplab.cpu.spinlock import might_sleep

__all__ = ["GracePeriod", "Rcu", "RcuHead"]


@mypyc_attr(allow_interpreted_subclasses=True)
class RcuHead:
    """struct rcu_head: inherited by what is freed after a grace period; `func` does it."""

    def func(self) -> None:
        """Called once, after the grace period, by some CPU outside a read section."""


class GracePeriod:
    """A grace period: the read sections that must end first, and what is to be done then."""

    def __init__(self, readers: list[Cpu], head: RcuHead | None) -> None:
        self.readers: list[Cpu] = readers
        self.head: RcuHead | None = head

    def __repr__(self) -> str:
        return f"grace period, waits for {self.readers}"


class Rcu(QuiescentWaiter):
    """The RCU state of one machine."""

    def __init__(self) -> None:
        self.pending: list[GracePeriod] = []

    def __repr__(self) -> str:
        return "rcu"

    def read_lock(self) -> None:
        """rcu_read_lock(): sections nest."""
        cpu = H.cpu
        if H.on:
            H.watcher.point(RCU_LOCK, self)
        if cpu.rcu_nesting == 0:
            cpu.rcu_section += 1
        cpu.rcu_nesting += 1

    def read_unlock(self) -> None:
        """rcu_read_unlock(): the end of the last section may end a grace period.

        Raises:
            RcuBug: there is no section to end.
        """
        cpu = H.cpu
        if cpu.rcu_nesting <= 0:
            raise RcuBug(f"rcu_read_unlock() outside of a read section on {cpu!r}")
        if H.on:
            H.watcher.point(RCU_UNLOCK, self)
        cpu.rcu_nesting -= 1
        if cpu.rcu_nesting == 0 and self.pending and not (H.on and cpu.locks_held):
            self.quiescent(cpu)

    def read_lock_held(self) -> bool:
        """rcu_read_lock_held()."""
        return H.cpu.rcu_nesting > 0

    def call(self, head: RcuHead) -> None:
        """call_rcu() (kernel/rcu/tree.c): `head.func()` after a grace period. So does kfree_rcu()."""
        if H.on:
            H.watcher.point(GRACE_PERIOD, self)
        period = self._begin(head)
        if not period.readers:
            self._end(period)

    def synchronize(self) -> None:
        """synchronize_rcu() (kernel/rcu/tree.c): sleep until a grace period has passed.

        Raises:
            RcuBug: inside a read section, which would wait for itself.
        """
        cpu = H.cpu
        if cpu.rcu_nesting:
            raise RcuBug("Illegal synchronize_rcu() in an RCU read section")
        might_sleep("synchronize_rcu")
        if H.on:
            H.watcher.point(GRACE_PERIOD, self)
        period = self._begin(None)
        while period.readers:
            if not H.on:
                raise RcuBug("synchronize_rcu() would wait for ever: a CPU left in a read section")
            H.watcher.block(GRACE_PERIOD_WAIT, period)
        if period in self.pending:
            self.pending.remove(period)

    def _begin(self, head: RcuHead | None) -> GracePeriod:
        readers = [cpu for cpu in H.cpus if cpu.rcu_nesting or (H.on and cpu.locks_held)]
        for cpu in readers:
            cpu.waiter = self
        period = GracePeriod(readers, head)
        self.pending.append(period)
        return period

    def quiescent(self, cpu: Cpu) -> None:
        """The CPU is in no read section: grace periods that waited for it alone are over."""
        cpu.waiter = None
        over = []
        for period in self.pending:
            if cpu in period.readers:
                period.readers.remove(cpu)
                if H.on:
                    H.watcher.done(GRACE_PERIOD_WAIT, period, cpu)
                if not period.readers:
                    over.append(period)
        # All of them are over before anything is freed: a callback may pass a scheduling point.
        for period in over:
            self.pending.remove(period)
        for period in over:
            if period.head is not None:
                period.head.func()

    def _end(self, period: GracePeriod) -> None:
        self.pending.remove(period)
        if period.head is not None:
            period.head.func()
