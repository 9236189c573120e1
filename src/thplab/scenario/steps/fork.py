# SPDX-License-Identifier: GPL-2.0-only
"""The step `fork`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Self

from thplab.scenario.declared import Declared, DeclaredTask
from thplab.scenario.drawing import Draw
from thplab.scenario.naming import quoted
from thplab.scenario.step import Step
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Fork"]


class Fork(Step, tag="fork", frozen=True):
    """fork(2): the task `child` starts with a copy of the task's address space, in the same cgroup."""

    task: str
    child: str

    # At a limit the OOM killer would choose between two tasks with the same memory.
    weights = MappingProxyType({"limits": 0})

    def check(self, declared: Declared) -> None:
        """A new name."""
        parent = declared.task(self.task)
        declared.name(self.child, "task")
        if self.child in declared.tasks or self.child in declared.ended:
            raise declared.wrong(
                f"there is a task {quoted(self.child)} already", "give the child its own name"
            )
        declared.enter(parent.cgroup)
        child = DeclaredTask(parent.cgroup)
        for name, region in parent.regions.items():
            child.regions[name] = region.copy()
        declared.tasks[self.child] = child

    def on_model(self, world: ModelWorld) -> str:
        """The child shares all memory until one of them writes."""
        world.machine.fork(world.task(self.task), self.child)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """The task forks."""
        world.fork(self.task, self.child)
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any living task."""
        task = draw.task()
        return None if task is None else cls(task=task, child=draw.new_name("child"))
