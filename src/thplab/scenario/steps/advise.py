# SPDX-License-Identifier: GPL-2.0-only
"""The step `advise`."""

from __future__ import annotations

import errno
import os
from types import MappingProxyType
from typing import Literal, Self

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, PAGE_SIZE
from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Advise"]

ADVICE = {"hugepage": 14, "nohugepage": 15, "collapse": 25}
"""MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE."""


class Advise(RangeStep, tag="advise", frozen=True, kw_only=True):
    """madvise(2): MADV_HUGEPAGE or MADV_NOHUGEPAGE of a whole region, MADV_COLLAPSE of whole huge pages."""

    advice: Literal["hugepage", "nohugepage", "collapse"]

    weights = MappingProxyType({"nodes": 3, "khugepaged": 2})
    interfaces = MappingProxyType({"MADV_COLLAPSE": "6.1"})

    def needs(self) -> tuple[str, ...]:
        """Only collapse needs something that not every release has."""
        return ("MADV_COLLAPSE",) if self.advice == "collapse" else ()

    def check(self, declared: Declared) -> None:
        """MADV_HUGEPAGE and MADV_NOHUGEPAGE are for a whole region; collapse takes offset and length."""
        super().check(declared)
        if self.advice != "collapse":
            self.check_whole(declared, f'advice = "{self.advice}"')
        elif self.mask != FULL_MASK:
            raise declared.wrong(
                'advice = "collapse" is for whole huge pages', "use offset and length, no part"
            )
        elif self.offset or self.length is not None:
            size = declared.region(self.task, self.region).size
            extent = self.extent(size, declared.where)
            if extent.end // HPAGE_PMD_NR <= -(-extent.first // HPAGE_PMD_NR):
                raise declared.wrong(
                    'advice = "collapse" is for whole huge pages, and the range has none',
                    "choose a range with 2M that begin at a multiple of 2M",
                )

    def on_model(self, world: ModelWorld) -> str:
        """Mark the region, or collapse the range; says what madvise(2) returns."""
        task, vma = world.region(self)
        madvise = world.machine.madvise
        if self.advice != "collapse":
            madvise.hugepage_madvise(task, vma, self.advice)
            return ""
        extent = self.extent(vma.nr_pages * PAGE_SIZE, f"region {self.region}")
        error = madvise.collapse(task, vma, extent.first, extent.end)
        return f"refused: {error} ({os.strerror(getattr(errno, error))})" if error else ""

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
