# SPDX-License-Identifier: GPL-2.0-only
"""The step `pageout`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Pageout"]

MADV_PAGEOUT = 21


class Pageout(RangeStep, tag="pageout", frozen=True):
    """madvise(2), MADV_PAGEOUT: the range is reclaimed now; a huge page of which it has a part is split before.
    Only a kernel can do it, and only one with swap pages anything out; thplab's guests have none. The
    model refuses.
    """

    def on_model(self, world: ModelWorld) -> str:
        """Refused."""
        raise world.refuse(
            "the model has no swap, so it cannot do step pageout (MADV_PAGEOUT)",
            "run the scenario on a kernel (thplab run FILE --kernel IMAGE), or leave the step out",
        )

    def on_kernel(self, world: KernelWorld) -> str:
        """One call for each range."""
        return world.call_each(self, "madvise", MADV_PAGEOUT)

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Never: the model cannot do it."""
        return None
