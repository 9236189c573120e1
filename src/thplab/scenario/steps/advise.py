# SPDX-License-Identifier: GPL-2.0-only
"""The step `advise`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, Self

from thplab.mm.geometry import FULL_MASK
from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Advise"]

ADVICE = {"hugepage": 14, "nohugepage": 15, "collapse": 25}
"""MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE."""
FINE = ("succeed", "page_already_mapped_by_pmd")
"""Results of a collapse that are no failure of madvise(2)."""


class Advise(RangeStep, tag="advise", frozen=True, kw_only=True):
    """madvise(2): MADV_HUGEPAGE or MADV_NOHUGEPAGE of a whole region, MADV_COLLAPSE of whole huge pages."""

    advice: Literal["hugepage", "nohugepage", "collapse"]

    weights = MappingProxyType({"nodes": 3, "khugepaged": 2})

    def check(self, declared: Declared) -> None:
        """MADV_HUGEPAGE and MADV_NOHUGEPAGE are for a whole region; collapse takes offset and length."""
        super().check(declared)
        if self.advice != "collapse":
            self.check_whole(declared, f'advice = "{self.advice}"')
        elif self.mask != FULL_MASK:
            raise declared.wrong(
                'advice = "collapse" is for whole huge pages', "use offset and length, no part"
            )

    def on_model(self, world: ModelWorld) -> str:
        """Mark the region, or collapse each slot."""
        task, vma = world.region(self)
        if self.advice != "collapse":
            vma.thp = self.advice
            return ""
        results: dict[str, int] = {}
        for slot, mask in world.slots(self):
            if mask == FULL_MASK:
                result = world.machine.khugepaged.collapse(task, vma, slot, False)
                results[result] = results.get(result, 0) + 1
        return ", ".join(f"{times}x {why}" for why, times in results.items() if why not in FINE)

    def on_kernel(self, world: KernelWorld) -> str:
        """One call for each range."""
        return world.call_each(self, "madvise", ADVICE[self.advice])

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any region; MADV_COLLAPSE in each series but the oldest."""
        found = draw.region()
        if found is None:
            return None
        if draw.series != "steps" and draw.chance(0.5):
            return cls(task=found[0], region=found[1], advice="collapse")
        advice = draw.choice(("hugepage", "nohugepage"))
        return cls(
            task=found[0],
            region=found[1],
            advice="hugepage" if advice == "hugepage" else "nohugepage",
        )
