# SPDX-License-Identifier: GPL-2.0-only
"""The step `pressure`."""

from __future__ import annotations

from typing import Self

from thplab.mm.geometry import HPAGE_PMD_SIZE
from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.policies import Policy
from thplab.scenario.step import Step
from thplab.scenario.worlds import KernelWorld, ModelWorld, TaskIsDead

__all__ = ["Pressure"]

MADV_NOHUGEPAGE = 15


class Pressure(Step, tag="pressure", frozen=True):
    """The task touches base pages bound to the node until the OOM killer ends it."""

    task: str
    node: int

    def check(self, declared: Declared) -> None:
        """The task ends."""
        declared.node(self.node)
        declared.end_task(self.task)

    def on_model(self, world: ModelWorld) -> str:
        """Touch more base pages than the node has, until the OOM killer ends the task."""
        task = world.task(self.task)
        machine = world.machine
        managed = machine.pages.nodes[self.node].managed
        policy = world.mempolicy(self.policy())
        vma = machine.mmap(task, f"pressure on node {self.node}", managed, policy, "nohugepage")
        touch = machine.memory.touch
        for slot in range(len(vma.slots)):
            if not touch(task, vma, slot, vma.slot_mask(slot), False):
                break
        if task.mm.killed:
            return ""
        machine.memory.unmap_vma(vma)
        return self.survived()

    def on_kernel(self, world: KernelWorld) -> str:
        """The same; the caller sees whether the task was killed."""
        task = world.task(self.task)
        size = world.node_size(self.node)
        place = task.map_nameless(size - size % HPAGE_PMD_SIZE)
        task.mbind(*place, self.policy())
        task.call("madvise", *place, MADV_NOHUGEPAGE)
        kills = world.oom_kills()
        try:
            task.touch(*place, 1)
        except TaskIsDead:
            return "" if world.oom_kills() > kills else "ended by a signal, not by the OOM killer"
        return self.survived()

    def policy(self) -> Policy:
        """Bound to the node."""
        return Policy(mode="bind", nodes=(self.node,))

    def survived(self) -> str:
        """The outcome if the task touched a whole node and the OOM killer did not end it."""
        return f"touched all of node {self.node}, and the OOM killer did not stop it"

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Never: it takes the time of a whole node's faults; the library has it."""
        return None
