# SPDX-License-Identifier: GPL-2.0-only
"""Codes of the operations that pass a scheduling point.

What two operations on the same object have to do with each other depends on their code alone.
Operations on different objects commute.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

__all__ = [
    "ADD",
    "CHARGE",
    "COMPLETION",
    "FREE",
    "GRACE_PERIOD",
    "GRACE_PERIOD_WAIT",
    "IRQ_ENTRY",
    "IRQ_OFF",
    "IRQ_ON",
    "LINK",
    "LOCK",
    "MUTEX_LOCK",
    "MUTEX_UNLOCK",
    "NAMES",
    "PLAIN_READ",
    "PLAIN_WRITE",
    "RCU_LOAD",
    "RCU_LOCK",
    "RCU_UNLOCK",
    "RCU_USE",
    "READ",
    "REF_FREEZE",
    "REF_GET",
    "REF_PUT",
    "RMW",
    "TRYLOCK",
    "UNLINK",
    "UNLOCK",
    "WRITE",
]

READ: Final[i64] = 1  # READ_ONCE(), atomic_read(), test_bit(), list_empty(); obj: the word's owner
WRITE: Final[i64] = 2  # WRITE_ONCE(), atomic_set(), xa_store()
RMW: Final[i64] = 3  # an atomic read-modify-write: set_bit(), atomic_inc(), xchg()
PLAIN_READ: Final[i64] = 4  # the load half of a non-atomic read-modify-write
PLAIN_WRITE: Final[i64] = 5  # its store half
LOCK: Final[i64] = 6  # done() arg: the mode, 0 plain, 1 irq, 2 irqsave
TRYLOCK: Final[i64] = 7
UNLOCK: Final[i64] = 8
MUTEX_LOCK: Final[i64] = 9
MUTEX_UNLOCK: Final[i64] = 10
IRQ_OFF: Final[i64] = 11
IRQ_ON: Final[i64] = 12
RCU_LOCK: Final[i64] = 13
RCU_UNLOCK: Final[i64] = 14
GRACE_PERIOD: Final[i64] = 15  # synchronize_rcu(); obj: the Rcu
RCU_LOAD: Final[i64] = 16  # a pointer protected by RCU was read; arg: the object pointed to
RCU_USE: Final[i64] = 17  # an object reached by such a pointer is used; obj: the object
LINK: Final[i64] = 18  # obj: the item; arg: the list's head, or the neighbour it is linked to
UNLINK: Final[i64] = 19  # obj: the item
REF_GET: Final[i64] = 20  # arg: whether it was got
REF_PUT: Final[i64] = 21  # arg: whether it was the last
REF_FREEZE: Final[i64] = 22  # arg: whether it was frozen
FREE: Final[i64] = 24  # obj: the object
ADD: Final[i64] = 25  # atomic_add() and its kin without a result: two of them commute
CHARGE: Final[i64] = 26  # a page counter was changed
GRACE_PERIOD_WAIT: Final[i64] = (
    27  # obj: the grace period, of which a reader has left, or that is waited for
)
IRQ_ENTRY: Final[i64] = 28  # an interrupt handler begins; obj: the CPU
COMPLETION: Final[i64] = (
    29  # wait_for_completion(): until the references of obj, a KernelObject, are gone
)

NAMES: Final[dict[int, str]] = {
    1: "read",
    2: "write",
    3: "rmw",
    4: "plain read",
    5: "plain write",
    6: "lock",
    7: "trylock",
    8: "unlock",
    9: "mutex_lock",
    10: "mutex_unlock",
    11: "irq off",
    12: "irq on",
    13: "rcu_read_lock",
    14: "rcu_read_unlock",
    15: "grace period begins",
    16: "rcu_dereference",
    17: "use",
    18: "list_add",
    19: "list_del",
    20: "try_get",
    21: "put",
    22: "ref_freeze",
    24: "free",
    25: "atomic_add",
    26: "charge",
    27: "grace period ends",
    28: "interrupt",
    29: "wait_for_completion",
}
