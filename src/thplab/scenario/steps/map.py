# SPDX-License-Identifier: GPL-2.0-only
"""The step `map`."""

from __future__ import annotations

from typing import Literal, Self

from thplab.mm.geometry import HPAGE_PMD_NR, HPAGE_PMD_SIZE, PAGE_SIZE
from thplab.scenario.declared import Declared, DeclaredRegion
from thplab.scenario.drawing import Draw
from thplab.scenario.naming import quoted
from thplab.scenario.policies import Policy
from thplab.scenario.step import Step
from thplab.scenario.units import Size, exact_size
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Map"]

LARGEST_REGION = 64 << 40
ADVICE = {"hugepage": 14, "nohugepage": 15}
"""MADV_HUGEPAGE, MADV_NOHUGEPAGE."""


class Map(Step, tag="map", frozen=True):
    """mmap(2) of private anonymous memory, aligned to a huge page, and mbind(2). It touches no page.

    `node` is short for `policy = { mode = "bind", nodes = [node] }`. `thp` is MADV_HUGEPAGE or
    MADV_NOHUGEPAGE.
    """

    task: str
    region: str
    size: Size
    node: int | None = None
    policy: Policy | None = None
    thp: Literal["default", "hugepage", "nohugepage"] = "default"

    weight = 2

    def effective_policy(self) -> Policy | None:
        """The policy, or the one that `node` is short for."""
        return self.policy if self.node is None else Policy(mode="bind", nodes=(self.node,))

    def check(self, declared: Declared) -> None:
        """A new name, a size in whole pages, nodes that the host has."""
        task = declared.task(self.task)
        declared.name(self.region, "region")
        if self.region in task.regions:
            raise declared.wrong(
                f"task {quoted(self.task)} has a region {quoted(self.region)} already",
                "give this one another name",
            )
        if not 0 < self.size <= LARGEST_REGION or self.size % PAGE_SIZE:
            raise declared.wrong(
                f"the size is {exact_size(self.size)}",
                f"a region has whole pages of 4K, up to {exact_size(LARGEST_REGION)}",
            )
        if self.node is not None:
            declared.node(self.node)
            if self.policy is not None:
                raise declared.wrong("the step has both node and policy", "use one of the two")
        if self.policy is not None:
            declared.policy(self.policy)
        task.regions[self.region] = DeclaredRegion(self.size)

    def on_model(self, world: ModelWorld) -> str:
        """Make the region, without any page; its policy comes second, as the release may lack it."""
        task = world.task(self.task)
        vma = world.machine.mmap(task, self.region, self.size // PAGE_SIZE, None, self.thp)
        vma.policy = world.mempolicy(self.effective_policy())
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """mmap(2), mbind(2), madvise(2)."""
        task = world.task(self.task)
        place = task.map_region(self.region, self.size)
        policy = self.effective_policy()
        if policy is not None:
            task.mbind(*place, policy)
        if self.thp != "default":
            task.call("madvise", *place, ADVICE[self.thp])
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """A few huge pages, sometimes with some base pages at the end."""
        task = draw.task()
        if task is None:
            return None
        size = draw.random.randint(1, 6) * HPAGE_PMD_SIZE
        if draw.chance(0.2):
            size += draw.random.randint(1, HPAGE_PMD_NR - 1) * PAGE_SIZE
        return cls(
            task=task,
            region=draw.new_name("r"),
            size=Size(size),
            policy=draw.policy() if draw.chance(0.8) else None,
            thp=draw.choice(("default", "default", "hugepage", "nohugepage")),
        )
