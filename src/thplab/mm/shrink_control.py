# SPDX-License-Identifier: GPL-2.0-only
"""What a shrinker is, and what one call of it is about (include/linux/shrinker.h, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.atomic import AtomicLong
from thplab.cpu.object import KernelObject
from thplab.mm.memcontrol import MemCgroup

__all__ = [
    "DEFAULT_SEEKS",
    "DEF_PRIORITY",
    "SHRINKER_MEMCG_AWARE",
    "SHRINKER_NONSLAB",
    "SHRINKER_NUMA_AWARE",
    "SHRINK_BATCH",
    "SHRINK_EMPTY",
    "SHRINK_STOP",
    "ShrinkControl",
    "Shrinker",
    "ShrinkerRefs",
]

SHRINKER_NUMA_AWARE: Final[i64] = 1 << 0
SHRINKER_MEMCG_AWARE: Final[i64] = 1 << 1
SHRINKER_NONSLAB: Final[i64] = 1 << 2

SHRINK_STOP: Final[i64] = -1  # ~0UL
SHRINK_EMPTY: Final[i64] = -2  # ~0UL - 1
SHRINK_BATCH: Final[i64] = 128
DEFAULT_SEEKS: Final[i64] = 2
DEF_PRIORITY: Final[i64] = 12


class ShrinkControl:
    """struct shrink_control: what one call of a shrinker is about.

    Attributes:
        nid: the node. memcg: the cgroup; None only where the memory controller is disabled.
        nr_to_scan: objects to visit. nr_scanned: how many were, if the shrinker says otherwise.
    """

    def __init__(self, nid: i64, memcg: MemCgroup | None, nr_to_scan: i64 = 0) -> None:
        self.nid: i64 = nid
        self.memcg: MemCgroup | None = memcg
        self.nr_to_scan: i64 = nr_to_scan
        self.nr_scanned: i64 = nr_to_scan


class ShrinkerRefs(KernelObject):
    """The references of a shrinker: one while registered, one for each call under way."""

    def __init__(self, name: str) -> None:
        super().__init__(0)
        self.name: str = name

    def __repr__(self) -> str:
        return f"shrinker {self.name}"


@mypyc_attr(allow_interpreted_subclasses=True)
class Shrinker:
    """struct shrinker: inherit from it and override count_objects() and scan_objects().

    Args:
        name: as it stands in debugfs.
        flags: SHRINKER_NUMA_AWARE, SHRINKER_MEMCG_AWARE, SHRINKER_NONSLAB, or-ed.
        seeks: the cost of making an object again; 0: half of the objects at each call.
        batch: objects a call; 0 for SHRINK_BATCH.

    Attributes:
        id: its bit in the cgroups' maps, if memcg_aware.
        nr_deferred: for each node, what was not scanned yet, where no cgroup keeps it.
    """

    def __init__(
        self, name: str, flags: i64 = 0, seeks: i64 = DEFAULT_SEEKS, batch: i64 = 0
    ) -> None:
        self.name: str = name
        self.flags: i64 = flags
        self.seeks: i64 = seeks
        self.batch: i64 = batch
        self.id: i64 = 0
        self.memcg_aware: bool = False
        self.nr_deferred: list[AtomicLong] = []
        self.refs: ShrinkerRefs = ShrinkerRefs(name)

    def count_objects(self, sc: ShrinkControl) -> int:
        """How many objects could be freed of (sc.nid, sc.memcg); 0: none now; SHRINK_EMPTY: none at all."""
        raise NotImplementedError

    def scan_objects(self, sc: ShrinkControl) -> int:
        """Visit sc.nr_to_scan objects; return how many were freed, or SHRINK_STOP: no use to go on."""
        raise NotImplementedError
