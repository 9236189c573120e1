# SPDX-License-Identifier: GPL-2.0-only
"""Freed objects are not touched any more (mm/kasan, 7.2)."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import (
    NAMES,
    PLAIN_READ,
    PLAIN_WRITE,
    RCU_USE,
    READ,
    REF_FREEZE,
    REF_GET,
    REF_PUT,
    RMW,
    WRITE,
)
from thplab.explorer.core_check import Check, CheckFailed

__all__ = ["Lifetimes"]


class Lifetimes(Check):
    """Any operation on an object after it was freed. Double frees are found by the object itself."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "lifetime"

    def point_mask(self) -> i64:
        """Whatever reads or writes an object."""
        return (
            (1 << READ)
            | (1 << WRITE)
            | (1 << RMW)
            | (1 << PLAIN_READ)
            | (1 << PLAIN_WRITE)
            | (1 << RCU_USE)
            | (1 << REF_GET)
            | (1 << REF_PUT)
            | (1 << REF_FREEZE)
        )

    def point(self, lane: i64, op: i64, obj: object) -> None:
        """The object must not have been freed."""
        if isinstance(obj, KernelObject) and obj.is_freed():
            raise CheckFailed(
                self.name,
                f"use-after-free: {NAMES[int(op)]} of {obj!r} by {H.cpu!r}, after it was freed",
            )
