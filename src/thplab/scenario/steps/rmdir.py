# SPDX-License-Identifier: GPL-2.0-only
"""The step `rmdir`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.declared import Declared, parent_of
from thplab.scenario.drawing import Draw
from thplab.scenario.naming import quoted
from thplab.scenario.step import Step
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Rmdir"]


class Rmdir(Step, tag="rmdir", frozen=True):
    """Removes the cgroup, which goes offline. It must have no task and no child left."""

    cgroup: str

    def check(self, declared: Declared) -> None:
        """It must be empty."""
        declared.cgroup(self.cgroup)
        if self.cgroup == "/":
            raise declared.wrong("the root cgroup cannot be removed", "name another cgroup")
        if declared.populated[self.cgroup]:
            inside = [name for name, task in declared.tasks.items() if task.cgroup == self.cgroup]
            raise declared.wrong(
                f"the cgroup {quoted(self.cgroup)} has the task {quoted(inside[0])} in it",
                "let it exit, or move it (move_task) first",
            )
        if declared.children[self.cgroup]:
            below = next(path for path in declared.cgroups if parent_of(path) == self.cgroup)
            raise declared.wrong(
                f"the cgroup {quoted(self.cgroup)} has the child {quoted(below)}",
                "remove the children first",
            )
        del declared.cgroups[self.cgroup]
        declared.children[parent_of(self.cgroup)] -= 1
        declared.removed[self.cgroup] = declared.where

    def on_model(self, world: ModelWorld) -> str:
        """rmdir(2)."""
        memcg = world.cgroup(self.cgroup)
        tree = world.machine.memcg
        living = [child.path for child in memcg.children if tree.by_path.get(child.path)]
        if memcg.nr_tasks or living:
            what = f"the child {living[0]}" if living else f"{memcg.nr_tasks} tasks"
            raise world.refuse(f"cgroup {self.cgroup} has {what} left", "move or end them first")
        tree.rmdir(memcg)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """rmdir(2)."""
        world.rmdir(self.cgroup)
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any but the one that fuzz keeps without tasks."""
        cgroup = draw.cgroup()
        return None if cgroup == draw.never_used else cls(cgroup=cgroup)
