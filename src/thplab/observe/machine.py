# SPDX-License-Identifier: GPL-2.0-only
"""Takes Observations of the model."""

from __future__ import annotations

from collections.abc import Iterable

from thplab.mm.census import census
from thplab.mm.geometry import PAGE_SIZE
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import Vma
from thplab.mm.shrinker_debug import shrinker_debugfs_count
from thplab.mm.vmstat import mthp_size_name
from thplab.scenario.observation import (
    CgroupFigures,
    KhugepagedFigures,
    NodeFigures,
    Observation,
    RegionFigures,
    RegionNode,
)

__all__ = ["observe_machine"]

LOWEST_ORDER = 2
"""The smallest size that the kernel counts for anonymous memory."""


def observe_machine(machine: Machine, label: str, cgroups: Iterable[str]) -> Observation:
    """Take an Observation of the model.

    Args:
        machine: the machine.
        label: the observation's name.
        cgroups: the paths to observe; it leaves out removed ones.
    """
    counts = dict(shrinker_debugfs_count(machine, machine.deferred_split))
    return Observation(
        label=label,
        nodes=[
            NodeFigures(
                free=node.free * PAGE_SIZE,
                anon=node.nr_anon * PAGE_SIZE,
                huge=node.nr_anon_thps * PAGE_SIZE,
            )
            for node in machine.pages.nodes
        ],
        cgroups={
            path: _cgroup_figures(machine, machine.memcg.by_path[path], counts)
            for path in cgroups
            if path in machine.memcg.by_path
        },
        regions={
            f"{task.name}.{name}": _region_figures(vma, machine.nr_nodes)
            for task in machine.tasks.values()
            for name, vma in task.mm.vmas.items()
        },
        vmstat=dict(machine.vmstat.events),
        mthp={
            mthp_size_name(order): dict(counters)
            for order, counters in enumerate(machine.vmstat.mthp)
            if order >= LOWEST_ORDER
        },
        khugepaged=KhugepagedFigures(
            full_scans=machine.khugepaged.full_scans,
            pages_collapsed=machine.khugepaged.pages_collapsed,
        ),
        seconds=machine.khugepaged.clock / 1000,
    )


def _cgroup_figures(
    machine: Machine, memcg: MemCgroup, counts: dict[int, list[int]]
) -> list[CgroupFigures]:
    """As memory.numa_stat, which also counts the cgroup's descendants, even removed ones.

    Args:
        counts: the lines of the shrinker's count file.
    """
    anon = [0] * machine.nr_nodes
    huge = [0] * machine.nr_nodes
    pending = [memcg]
    while pending:
        position = pending.pop()
        pending.extend(position.children)
        for nid, pernode in enumerate(position.nodeinfo):
            anon[nid] += pernode.nr_anon
            huge[nid] += pernode.nr_anon_thps
    queue = counts.get(memcg.ino, [0] * machine.nr_nodes)
    return [
        CgroupFigures(anon=anon[nid] * PAGE_SIZE, huge=huge[nid] * PAGE_SIZE, queue=queue[nid])
        for nid in range(machine.nr_nodes)
    ]


def _region_figures(vma: Vma, nr_nodes: int) -> RegionFigures:
    found = census(vma, nr_nodes)
    return RegionFigures(
        nodes=[
            RegionNode(huge=found.huge[nid], split=found.split[nid], base=found.base[nid])
            for nid in range(nr_nodes)
        ],
        zero=found.zero,
        swapped=0,
        absent=found.absent,
    )
