# SPDX-License-Identifier: GPL-2.0-only
"""The step `exit`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import Step
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Exit"]


class Exit(Step, tag="exit", frozen=True):
    """The task ends, and the kernel unmaps its memory."""

    task: str

    def check(self, declared: Declared) -> None:
        """The task must be alive."""
        declared.end_task(self.task)

    def on_model(self, world: ModelWorld) -> str:
        """exit_mm()."""
        world.machine.exit(world.task(self.task))
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """The task ends by itself."""
        world.task(self.task).end()
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any living task."""
        task = draw.task()
        return None if task is None else cls(task=task)
