# SPDX-License-Identifier: GPL-2.0-only
"""The step `discard`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Discard"]

MADV_DONTNEED = 4


class Discard(RangeStep, tag="discard", frozen=True):
    """madvise(2), MADV_DONTNEED."""

    weight = 2

    def on_model(self, world: ModelWorld) -> str:
        """Slot by slot; refuses an mlocked region, as the kernel does."""
        _task, vma = world.region(self)
        for slot, mask in world.slots(self):
            if not world.machine.madvise.dontneed(vma, slot, mask):
                return "refused: EINVAL (Invalid argument)"
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One call for each range."""
        return world.call_each(self, "madvise", MADV_DONTNEED)

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any range."""
        fields = draw.range()
        return None if fields is None else cls(**fields)
