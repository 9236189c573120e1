# SPDX-License-Identifier: GPL-2.0-only
"""The step `shrink`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Self

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import Step
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Shrink"]


class Shrink(Step, tag="shrink", frozen=True):
    """A write to the deferred split shrinker's debugfs scan file: one cgroup, one node, `count` objects."""

    cgroup: str
    node: int
    count: int

    weight = 4
    interfaces = MappingProxyType({"the scan file of shrinkers": "6.0"})

    def check(self, declared: Declared) -> None:
        """A cgroup and a node that exist."""
        declared.cgroup(self.cgroup)
        declared.node(self.node)
        if not 0 <= self.count < 1 << 31:
            raise declared.wrong(f"the count is {self.count}", "ask for 0 or more huge pages")

    def on_model(self, world: ModelWorld) -> str:
        """shrinker_debugfs_scan_write()."""
        # Imported here because the agent in a guest does not use the model.
        from thplab.mm.shrinker_debug import shrinker_debugfs_scan

        machine = world.machine
        memcg = world.cgroup(self.cgroup)
        try:
            shrinker_debugfs_scan(machine, machine.deferred_split, memcg, self.node, self.count)
        except ValueError as error:
            return f"{error} (EINVAL)"
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One write."""
        world.shrink(self.cgroup, self.node, self.count)
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """More often a cgroup that has tasks."""
        homes = [task.cgroup for task in draw.declared.tasks.values()]
        return cls(
            cgroup=draw.choice([*homes, *homes, draw.cgroup(), "/"]),
            node=draw.node(),
            count=draw.choice((1, 2, 3, 5, 8, 100)),
        )
