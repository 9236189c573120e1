# SPDX-License-Identifier: GPL-2.0-only
"""The step `protect`."""

from __future__ import annotations

from typing import Literal, Self

from thplab.mm.geometry import PAGE_SIZE
from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.naming import quoted
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Protect"]

PROTECTION = {"none": 0, "read": 1, "write": 3}
"""PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE."""

MOST_PARTS = 128


class Protect(RangeStep, tag="protect", frozen=True, kw_only=True):
    """mprotect(2): no access, reading only, or "write" again. A huge page of which the range has a part loses its PMD.

    The huge page itself stays whole. No new one fits across the boundary between two kinds of access.
    No step may write to protected memory: the kernel would kill the task.
    """

    access: Literal["none", "read", "write"]

    def check(self, declared: Declared) -> None:
        """From here on the pages may be written to, or not."""
        super().check(declared)
        region = declared.region(self.task, self.region)
        if len(region.protected) >= MOST_PARTS:
            raise declared.wrong(
                f"region {quoted(self.region)} is protected in {MOST_PARTS} places already",
                "use larger ranges, or a part of each huge page",
            )
        extent = self.extent(region.size, declared.where)
        why = None if self.access == "write" else f"protected at {declared.where}"
        region.protect(extent, why)

    def on_model(self, world: ModelWorld) -> str:
        """One call for each range."""
        task, vma = world.region(self)
        protection = PROTECTION[self.access]
        extent = self.extent(vma.nr_pages * PAGE_SIZE, "a step on a region")
        for address, length in extent.ranges():
            first = address // PAGE_SIZE
            end = first + length // PAGE_SIZE
            world.machine.mprotect.do_mprotect(task, vma, first, end, protection)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One call for each range."""
        return world.call_each(self, "mprotect", PROTECTION[self.access])

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any range; writable again more often than not."""
        fields = draw.range()
        if fields is None:
            return None
        access = draw.choice(("none", "read", "write", "write", "write"))
        return cls(
            **fields, access="none" if access == "none" else "read" if access == "read" else "write"
        )
