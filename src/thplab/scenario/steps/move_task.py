# SPDX-License-Identifier: GPL-2.0-only
"""The step `move_task`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Self

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import Step
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["MoveTask"]


class MoveTask(Step, tag="move_task", frozen=True):
    """A write to another cgroup's cgroup.procs. Memory that is already charged stays charged to the old cgroup."""

    task: str
    cgroup: str

    # At a limit the OOM killer would choose between tasks by memory that is not the scenario's.
    weights = MappingProxyType({"limits": 0})

    def check(self, declared: Declared) -> None:
        """A cgroup that can hold tasks."""
        task = declared.task(self.task)
        declared.cgroup(self.cgroup)
        declared.enter(self.cgroup)
        declared.populated[task.cgroup] -= 1
        task.cgroup = self.cgroup

    def on_model(self, world: ModelWorld) -> str:
        """cgroup_attach_task()."""
        task = world.task(self.task)
        world.machine.move_task(task, world.cgroup(self.cgroup))
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One write."""
        world.attach(self.cgroup, self.task)
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """To a leaf, or to the root."""
        task = draw.task()
        if task is None:
            return None
        return cls(task=task, cgroup="/" if draw.chance(0.25) else draw.leaf())
