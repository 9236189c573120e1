# SPDX-License-Identifier: GPL-2.0-only
"""The step `reclaim`."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Self

from thplab.mm.geometry import PAGE_SIZE
from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.step import Step
from thplab.scenario.units import Size
from thplab.scenario.worlds import KernelWorld, ModelWorld, NotOffered

__all__ = ["Reclaim"]

MEMORY_RECLAIM = "memory.reclaim"
NODE_RECLAIM = "the reclaim file of a node"
LESS = "less than that could be reclaimed (EAGAIN)"


class Reclaim(Step, tag="reclaim", frozen=True):
    """Proactive reclaim of `size` from a cgroup (memory.reclaim) or a node (its reclaim file): one of the two."""

    size: Size
    cgroup: str | None = None
    node: int | None = None

    weights = MappingProxyType({"limits": 4})
    interfaces = MappingProxyType({MEMORY_RECLAIM: "5.19", NODE_RECLAIM: "6.17"})

    def needs(self) -> tuple[str]:
        """The file of one of the two."""
        return (NODE_RECLAIM if self.cgroup is None else MEMORY_RECLAIM,)

    def check(self, declared: Declared) -> None:
        """A cgroup or a node."""
        if (self.cgroup is None) == (self.node is None):
            raise declared.wrong(
                "the step must have a cgroup or a node, and not both",
                'cgroup = "/victim" is memory.reclaim, node = 0 the reclaim file of the node',
            )
        if self.size <= 0:
            raise declared.wrong("the size is 0", 'say how much to reclaim: size = "64M"')
        if self.cgroup is not None:
            declared.memory_controller()
            declared.cgroup(self.cgroup)
        if self.node is not None:
            declared.node(self.node)

    def on_model(self, world: ModelWorld) -> str:
        """user_proactive_reclaim()."""
        nr_pages = self.size // PAGE_SIZE
        vmscan = world.machine.vmscan
        if self.cgroup is not None:
            done = vmscan.memory_reclaim(world.cgroup(self.cgroup), nr_pages)
        else:
            assert self.node is not None, "check() wants one of the two"
            done = vmscan.node_reclaim(self.node, nr_pages)
        return "" if done else LESS

    def on_kernel(self, world: KernelWorld) -> str:
        """One write."""
        if self.cgroup is not None:
            path = world.cgroup_file(self.cgroup, MEMORY_RECLAIM)
        else:
            path = Path(f"/sys/devices/system/node/node{self.node}/reclaim")
        if not path.exists():
            raise NotOffered(f"this kernel has no file {path.name} for it")
        try:
            path.write_text(str(int(self.size)), encoding="ascii")
        except BlockingIOError:
            return LESS
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """In the series "limits" of any cgroup, whose anonymous memory cannot be reclaimed without swap: so it
        goes on to the last priority, and splits whatever is queued. Otherwise of one that never had memory.
        """
        if draw.series == "limits":
            return cls(cgroup=draw.home(), size=Size(draw.choice((1, 4, 32)) << 20))
        return cls(cgroup=draw.never_used, size=Size(1 << 20))
