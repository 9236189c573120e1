# SPDX-License-Identifier: GPL-2.0-only
"""The step `free`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Free"]

MADV_FREE = 8


class Free(RangeStep, tag="free", frozen=True):
    """madvise(2), MADV_FREE: the kernel may free the range when it needs memory, until the task writes to it again.
    Only a kernel can do it; the model refuses.
    """

    def on_model(self, world: ModelWorld) -> str:
        """Refused."""
        raise world.refuse(
            "the model keeps no lazily freed pages, so it cannot do step free (MADV_FREE)",
            "run the scenario on a kernel (thplab run FILE --kernel IMAGE), or leave the step out",
        )

    def on_kernel(self, world: KernelWorld) -> str:
        """One call for each range."""
        return world.call_each(self, "madvise", MADV_FREE)

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Never: the model cannot do it."""
        return None
