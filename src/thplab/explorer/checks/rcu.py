# SPDX-License-Identifier: GPL-2.0-only
"""Pointers protected by RCU: used only inside the read section that loaded them (include/linux/rcupdate.h, 7.2)."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.ops import RCU_LOAD, RCU_USE, REF_GET, REF_PUT
from thplab.explorer.core_check import Check, CheckFailed

__all__ = ["RcuUse"]


class RcuUse(Check):
    """A lane uses a pointer that it loaded under RCU only in that section, unless it took a reference."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "rcu"
        self.loaded: dict[tuple[int, object], int] = {}
        self.references: dict[tuple[int, object], int] = {}

    def done_mask(self) -> i64:
        """Loads, and references taken."""
        return (1 << RCU_LOAD) | (1 << REF_GET) | (1 << REF_PUT)

    def point_mask(self) -> i64:
        """Uses."""
        return 1 << RCU_USE

    def begin(self) -> None:
        """No pointer is loaded."""
        if self.loaded:
            self.loaded = {}
        if self.references:
            self.references = {}

    def done(self, lane: i64, op: i64, obj: object, arg: object) -> None:
        """Remember in which section; a reference makes the pointer safe."""
        if op == RCU_LOAD:
            cpu = H.cpu
            section = int(cpu.rcu_section) if cpu.rcu_nesting else -1
            self.loaded[int(lane), arg] = section
            return
        key = (int(lane), obj)
        if op == REF_PUT:
            count = self.references.get(key, 0)
            if count:
                self.references[key] = count - 1
        elif arg:
            self.references[key] = self.references.get(key, 0) + 1

    def point(self, lane: i64, op: i64, obj: object) -> None:
        """Use of what was loaded in another section, or in none."""
        key = (int(lane), obj)
        section = self.loaded.get(key)
        if section is None or self.references.get(key, 0):
            return
        cpu = H.cpu
        if section < 0:
            raise CheckFailed(
                self.name,
                f"suspicious RCU usage: {obj!r} was loaded outside of a read section, and {cpu!r} uses it",
            )
        if cpu.rcu_nesting == 0 or cpu.rcu_section != section:
            raise CheckFailed(
                self.name,
                f"suspicious RCU usage: {cpu!r} uses {obj!r}, loaded in a read section that has ended",
            )
