# SPDX-License-Identifier: GPL-2.0-only
"""The step `wait`."""

from __future__ import annotations

import time
from typing import Self

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import Step
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Wait"]

LONGEST_WAIT = 86_400


class Wait(Step, tag="wait", frozen=True):
    """Time passes. The model has no clock; only khugepaged, when awake, and the CPUs' lists react to it."""

    seconds: int

    def check(self, declared: Declared) -> None:
        """At least a second, at most a day."""
        if not 1 <= self.seconds <= LONGEST_WAIT:
            raise declared.wrong(
                f"seconds is {self.seconds}", f"wait for 1 to {LONGEST_WAIT} seconds"
            )

    def on_model(self, world: ModelWorld) -> str:
        """As many passes of khugepaged as fit; each CPU folds its counters once in a second (vmstat_update())."""
        world.machine.pages.refresh_cpu_vm_stats()
        world.machine.khugepaged.elapse(self.seconds * 1000)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """Real time."""
        del world
        time.sleep(self.seconds)
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Never by itself: the series "khugepaged" has it wherever khugepaged may pass."""
        return None
