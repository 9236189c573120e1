# SPDX-License-Identifier: GPL-2.0-only
"""Takes Observations of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from thplab.mm.census import census
from thplab.mm.geometry import PAGE_SIZE
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import Vma
from thplab.mm.shrinker_debug import shrinker_debugfs_count
from thplab.mm.vmstat import mthp_size_name
from thplab.scenario.observation import (
    CgroupEvents,
    CgroupFigures,
    CgroupMemory,
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
    seen = [path for path in cgroups if path in machine.memcg.by_path]
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
            path: _cgroup_figures(machine, machine.memcg.by_path[path], counts) for path in seen
        },
        memory={path: _cgroup_memory(machine.memcg.by_path[path]) for path in seen},
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
    """As memory.numa_stat.

    Args:
        counts: the lines of the shrinker's count file.
    """
    anon = [0] * machine.nr_nodes
    huge = [0] * machine.nr_nodes
    for position in _subtree(memcg):
        for nid, pernode in enumerate(position.nodeinfo):
            anon[nid] += pernode.nr_anon
            huge[nid] += pernode.nr_anon_thps
    queue = counts.get(memcg.ino, [0] * machine.nr_nodes)
    return [
        CgroupFigures(anon=anon[nid] * PAGE_SIZE, huge=huge[nid] * PAGE_SIZE, queue=queue[nid])
        for nid in range(machine.nr_nodes)
    ]


def _subtree(memcg: MemCgroup) -> Iterator[MemCgroup]:
    """A cgroup and its descendants, even removed ones: statistics count them."""
    pending = [memcg]
    while pending:
        position = pending.pop()
        pending.extend(position.children)
        yield position


def _cgroup_memory(memcg: MemCgroup) -> CgroupMemory:
    """As memory.stat and, below the root, memory.current, memory.peak and memory.events."""
    huge = sum(
        pernode.nr_anon_thps for position in _subtree(memcg) for pernode in position.nodeinfo
    )
    figures = CgroupMemory(
        anon_thp=huge * PAGE_SIZE,
        thp_fault_alloc=memcg.stat.get("thp_fault_alloc", 0),
        thp_collapse_alloc=memcg.stat.get("thp_collapse_alloc", 0),
    )
    if memcg.parent is not None:
        figures.current = memcg.memory.usage * PAGE_SIZE
        figures.peak = memcg.memory.watermark * PAGE_SIZE
        events = {name: memcg.events.get(name, 0) for name in CgroupEvents.__struct_fields__}
        figures.events = CgroupEvents(**events)
    return figures


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
