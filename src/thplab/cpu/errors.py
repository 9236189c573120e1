# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel says when code breaks a rule, as exceptions.

A BUG ends the run: the memory can no longer be trusted. A WARNING is collected (see
:func:`thplab.cpu.hook.warn_once`) and the run goes on, as it does on a real kernel.
"""

from __future__ import annotations

__all__ = [
    "KernelBug",
    "ListCorruption",
    "LockBug",
    "NullDereference",
    "RcuBug",
    "RefcountBug",
    "UseAfterFree",
]


class KernelBug(Exception):
    """BUG_ON(), or damage that a debugging kernel would stop at."""


class ListCorruption(KernelBug):
    """CONFIG_DEBUG_LIST: a link that does not point back, a double add, a poisoned entry."""


class LockBug(KernelBug):
    """CONFIG_DEBUG_SPINLOCK and lockdep: recursion, unlock of a lock that is not held, sleeping while atomic."""


class NullDereference(KernelBug):
    """An Oops: a pointer that is NULL was followed. The text says where."""

    def __init__(self, where: str) -> None:
        super().__init__(f"BUG: kernel NULL pointer dereference: {where}")


class RcuBug(KernelBug):
    """Waiting for a grace period inside a read section, or ending a section that never began."""


class RefcountBug(KernelBug):
    """A reference count that goes below zero, or up from zero without being frozen."""


class UseAfterFree(KernelBug):
    """KASAN: an object was used after its last reference was gone."""
