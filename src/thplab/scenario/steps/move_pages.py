# SPDX-License-Identifier: GPL-2.0-only
"""The step `move_pages`."""

from __future__ import annotations

import errno
from types import MappingProxyType
from typing import Self

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import RangeStep
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["MovePages"]


class MovePages(RangeStep, tag="move_pages", frozen=True, kw_only=True):
    """move_pages(2): the pages of the range go to `node`."""

    node: int

    weights = MappingProxyType({"nodes": 5})

    def check(self, declared: Declared) -> None:
        """A node of the host."""
        super().check(declared)
        declared.node(self.node)

    def on_model(self, world: ModelWorld) -> str:
        """One call, which ends where the node has no room."""
        _task, vma = world.region(self)
        if world.machine.migration.move_pages(vma, list(world.slots(self)), self.node) < 0:
            return "refused: ENOMEM (Cannot allocate memory)"
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One call with one address of each folio: the kernel moves the whole folio."""
        world.task(self.task)
        addresses = world.folios(self)
        if not addresses:
            return "the range has no page"
        status = world.move_pages(self.task, addresses, self.node)
        failed = [code for code in status if code != self.node]
        if failed:
            names = sorted({errno.errorcode.get(-code, str(code)) for code in failed})
            return f"{len(failed)} of {len(status)} folios did not move ({', '.join(names)})"
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Any range in the series "nodes", rarely to a full node; elsewhere the scenarios are as old as the series."""
        if draw.series != "nodes":
            return None
        fields = draw.range()
        node = draw.node()
        if fields is None or (node in draw.full and draw.chance(0.8)):
            return None
        return cls(**fields, node=node)
