# SPDX-License-Identifier: GPL-2.0-only
"""The step `unmap`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.naming import quoted
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Unmap"]

MOST_HOLES = 128


class Unmap(RangeStep, tag="unmap", frozen=True):
    """munmap(2). No later step can use the pages."""

    weight = 2

    def check(self, declared: Declared) -> None:
        """Note that no later step can use the pages."""
        super().check(declared)
        region = declared.region(self.task, self.region)
        if len(region.unusable) >= MOST_HOLES:
            raise declared.wrong(
                f"region {quoted(self.region)} already has {MOST_HOLES} unmapped parts",
                "use larger ranges, or a part of each huge page",
            )
        extent = self.extent(region.size, declared.where)
        region.unusable[extent] = f"unmapped at {declared.where}"

    def on_model(self, world: ModelWorld) -> str:
        """unmap_part() of each slot."""
        _task, vma = world.region(self)
        for slot, mask in world.slots(self):
            world.machine.memory.unmap_part(vma, slot, mask)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One call for each range."""
        return world.call_each(self, "munmap")

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any range."""
        fields = draw.range()
        return None if fields is None else cls(**fields)
