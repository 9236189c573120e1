# SPDX-License-Identifier: GPL-2.0-only
"""The step `split_huge_pages`."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Self

from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld, NotOffered

__all__ = ["SplitHugePages"]

SPLIT_HUGE_PAGES = Path("/sys/kernel/debug/split_huge_pages")


class SplitHugePages(RangeStep, tag="split_huge_pages", frozen=True):
    """A write to debugfs's split_huge_pages: each huge page that the range has a page of is split whole.

    Others may map it too; one to which somebody holds a reference beside is skipped (split_huge_pages_pid()).
    """

    interfaces = MappingProxyType({"split_huge_pages for a range of a task": "5.13"})

    def on_model(self, world: ModelWorld) -> str:
        """Slot by slot."""
        _task, vma = world.region(self)
        for slot, mask in world.slots(self):
            world.machine.huge_memory.split_huge_pages_pid(vma, slot, mask)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One write for each range, of the process id and the addresses."""
        if not SPLIT_HUGE_PAGES.exists():
            raise NotOffered(f"there is no {SPLIT_HUGE_PAGES}: it needs CONFIG_DEBUG_FS, mounted")
        pid = world.task(self.task).pid
        for address, length in world.ranges(self):
            SPLIT_HUGE_PAGES.write_text(
                f"{pid},{address:#x},{address + length:#x}", encoding="ascii"
            )
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any range."""
        fields = draw.range()
        return None if fields is None else cls(**fields)
