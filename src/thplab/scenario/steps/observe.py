# SPDX-License-Identifier: GPL-2.0-only
"""The step `observe`."""

from __future__ import annotations

from typing import Self

from thplab.scenario.declared import Declared, Seen
from thplab.scenario.drawing import Draw
from thplab.scenario.naming import quoted
from thplab.scenario.step import Step
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Observe"]


class Observe(Step, tag="observe", frozen=True):
    """Takes an Observation, and names it."""

    label: str

    def check(self, declared: Declared) -> None:
        """A label that no other observation has."""
        declared.name(self.label, "observation")
        if self.label in declared.observations:
            raise declared.wrong(
                f"there is an observation {quoted(self.label)} already",
                "give each observation its own label",
            )
        regions = (
            f"{name}.{region}" for name, task in declared.tasks.items() for region in task.regions
        )
        declared.observations[self.label] = Seen(tuple(declared.cgroups), tuple(regions))

    def on_model(self, world: ModelWorld) -> str:
        """Read the model."""
        world.observe(self.label)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """Read the kernel's files."""
        world.observe(self.label)
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Never: sweep.random_scenarios places the observations."""
        return None
