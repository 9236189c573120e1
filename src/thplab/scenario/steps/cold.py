# SPDX-License-Identifier: GPL-2.0-only
"""The step `cold`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Cold"]

MADV_COLD = 20


class Cold(RangeStep, tag="cold", frozen=True):
    """madvise(2), MADV_COLD: reclaim takes the range first. A huge page of which it has a part is split at once.

    A huge page that another task maps too stays whole (madvise_cold_or_pageout_pte_range()).
    """

    def on_model(self, world: ModelWorld) -> str:
        """Slot by slot; an mlocked region is refused, as the kernel refuses it."""
        _task, vma = world.region(self)
        for slot, mask in world.slots(self):
            if not world.machine.madvise.cold(vma, slot, mask):
                return "refused: EINVAL (Invalid argument)"
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One call for each range."""
        return world.call_each(self, "madvise", MADV_COLD)

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any range of a region that at most two tasks ever had: a kernel loses count of more."""
        fields = draw.range()
        if fields is None:
            return None
        declared = draw.declared
        sharers = sum(fields["region"] in task.regions for task in declared.tasks.values())
        return cls(**fields) if sharers + len(declared.ended) <= 2 else None
