# SPDX-License-Identifier: GPL-2.0-only
"""The shrinkers' debugfs files, count and scan (mm/shrinker_debug.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import (
    SHRINK_EMPTY,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
    Shrinker,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["count_columns", "shrinker_debugfs_count", "shrinker_debugfs_scan"]


def count_columns(machine: Machine, shrinker: Shrinker, memcg: MemCgroup | None) -> list[int]:
    """shrinker_count_objects(): objects on each node; SHRINK_EMPTY shows as 0."""
    columns = []
    for nid in range(machine.nr_nodes):
        count = 0
        if nid == 0 or shrinker.flags & SHRINKER_NUMA_AWARE:
            count = shrinker.count_objects(ShrinkControl(nid, memcg))
            if count == SHRINK_EMPTY:
                count = 0
        columns.append(count)
    return columns


def shrinker_debugfs_count(machine: Machine, shrinker: Shrinker) -> list[tuple[int, list[int]]]:
    """shrinker_debugfs_count_show(): the lines of the count file, (cgroup's inode, objects on each node), where
    there are any.

    A shrinker that is not memcg-aware is asked once, without a cgroup. Its line has the inode of the root cgroup, at
    which the walk begins; 0 if the memory controller is disabled.
    """
    lines: list[tuple[int, list[int]]] = []
    if not shrinker.memcg_aware:
        columns = count_columns(machine, shrinker, None)
        ino = 0 if machine.memcg.disabled else machine.memcg.root.ino
        return [(ino, columns)] if sum(columns) else lines
    for memcg in machine.memcg.iterate(machine.memcg.root):
        if not memcg.online():
            continue
        columns = count_columns(machine, shrinker, memcg)
        if sum(columns):
            lines.append((memcg.ino, columns))
    return lines


def shrinker_debugfs_scan(
    machine: Machine, shrinker: Shrinker, memcg: MemCgroup | None, nid: i64, nr_to_scan: i64
) -> i64:
    """shrinker_debugfs_scan_write(): one call of scan_objects(), with no batches, deferred counts or bits.

    Raises:
        ValueError: no such node, or a cgroup for a shrinker that knows none (-EINVAL). LookupError: the cgroup is not online (-ENOENT).
    """
    if not 0 <= nid < machine.nr_nodes:
        raise ValueError(f"node {nid} of a machine with {machine.nr_nodes}")
    if nr_to_scan == 0:
        return 0
    if memcg is not None and not shrinker.memcg_aware:
        raise ValueError(f"shrinker {shrinker.name} is not memcg-aware here; its inode is 0")
    if shrinker.memcg_aware and (memcg is None or not memcg.online()):
        raise LookupError("the cgroup is not online")
    sc = ShrinkControl(nid, memcg, nr_to_scan)
    result: i64 = shrinker.scan_objects(sc)
    return result
