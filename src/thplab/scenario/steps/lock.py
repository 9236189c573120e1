# SPDX-License-Identifier: GPL-2.0-only
"""The step `lock`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Lock"]


class Lock(RangeStep, tag="lock", frozen=True):
    """mlock(2) of the whole region, which faults it in for writing; munlock(2) with `locked = false`."""

    locked: bool = True

    def check(self, declared: Declared) -> None:
        """A whole region; to lock it is to write to it."""
        super().check(declared)
        self.check_whole(declared, "lock")
        if self.locked:
            self.check_writable(declared)

    def on_model(self, world: ModelWorld) -> str:
        """The whole region at once."""
        task, vma = world.region(self)
        if self.locked:
            world.machine.mlock.do_mlock(task, vma)
        else:
            world.machine.mlock.munlock(vma)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One call."""
        return world.call_each(self, "mlock" if self.locked else "munlock")

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any region; more often locked than unlocked."""
        found = draw.region()
        if found is None:
            return None
        return cls(task=found[0], region=found[1], locked=draw.chance(0.7))
