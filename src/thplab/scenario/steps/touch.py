# SPDX-License-Identifier: GPL-2.0-only
"""The step `touch`."""

from __future__ import annotations

from typing import Literal, Self

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Touch"]


class Touch(RangeStep, tag="touch", frozen=True):
    """A write to each base page of the range: a byte of data, or zeros."""

    write: Literal["data", "zeros"] = "data"

    weight = 2

    def check(self, declared: Declared) -> None:
        """Not where it may not write."""
        super().check(declared)
        self.check_writable(declared)

    def on_model(self, world: ModelWorld) -> str:
        """Write faults, until the end of the range or an OOM kill."""
        task, vma = world.region(self)
        zeros = self.write == "zeros"
        touch = world.machine.memory.touch
        for slot, mask in world.slots(self):
            if not touch(task, vma, slot, mask, zeros):
                break
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """The task writes, in ascending order."""
        task = world.task(self.task)
        for address, length in world.ranges(self):
            task.touch(address, length, 1 if self.write == "data" else 0)
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Data twice as often as zeros."""
        fields = draw.range()
        return (
            None if fields is None else cls(**fields, write=draw.choice(("data", "data", "zeros")))
        )
