# SPDX-License-Identifier: GPL-2.0-only
"""Takes Observations of the running kernel."""

from __future__ import annotations

import time
from collections.abc import Iterable

from thplab.agent.cgroups import Hierarchy
from thplab.agent.task import Task
from thplab.observe.cgroup_memory import (
    read_memory_by_node,
    read_memory_events,
    read_memory_number,
    read_memory_stat,
)
from thplab.observe.khugepaged import read_khugepaged
from thplab.observe.mthp import read_mthp
from thplab.observe.node_meminfo import read_node_meminfo
from thplab.observe.page_census import PageCensus
from thplab.observe.shrinker_debugfs import find_deferred_split_shrinker, why_no_shrinker_debugfs
from thplab.observe.vmstat import fold_per_cpu_counters, vmstat_events
from thplab.observe.zoneinfo import NodeSpans, read_node_spans
from thplab.scenario.observation import (
    FIGURES,
    CgroupEvents,
    CgroupFigures,
    CgroupMemory,
    KhugepagedFigures,
    NodeFigures,
    Observation,
    RegionFigures,
)

__all__ = ["Observer"]


class Observer:
    """Observes one scenario. Counters are changes since it was made; so is the anonymous memory of the nodes
    and of the root cgroup, because other processes have memory there too.

    Args:
        nodes: how many nodes the scenario's host has.
        hierarchy: where its cgroups are.
        cgroups: their paths.
    """

    def __init__(self, nodes: int, hierarchy: Hierarchy, cgroups: Iterable[str]) -> None:
        self._nodes = nodes
        self._hierarchy = hierarchy
        self._cgroups = list(cgroups)
        self._spans, self._no_spans = _spans()
        self._shrinker = find_deferred_split_shrinker()
        self._missing: dict[str, str] = {}
        fold_per_cpu_counters()
        self._vmstat = vmstat_events()
        self._mthp = read_mthp()
        self._khugepaged = read_khugepaged()
        self._began = time.monotonic()
        self._others = [read_node_meminfo(node) for node in range(nodes)]
        self._others_in_root = self._memory("/") if "/" in self._cgroups else {}
        self._stat_of_root = self._stat("/") if "/" in self._cgroups else {}

    def observe(self, label: str, tasks: Iterable[Task]) -> Observation:
        """Take an Observation.

        Args:
            label: its name.
            tasks: those whose regions it counts, except the dead ones.
        """
        self._missing = {}
        fold_per_cpu_counters()
        mthp = self._mthp_changes()
        return Observation(
            label=label,
            nodes=[self._node(node) for node in range(self._nodes)],
            cgroups=self._cgroup_figures(),
            memory={
                path: self._cgroup_memory(path)
                for path in self._cgroups
                if self._hierarchy.exists(path)
            },
            regions=self._regions(tasks),
            vmstat={
                name: value - self._vmstat.get(name, 0) for name, value in vmstat_events().items()
            },
            mthp=mthp,
            khugepaged=self._khugepaged_changes(),
            seconds=time.monotonic() - self._began,
            missing=self._missing,
        )

    def _mthp_changes(self) -> dict[str, dict[str, int | None]]:
        if not self._mthp:
            self._missing["mthp"] = (
                "this kernel does not count each size of huge pages (6.10 brought that)"
            )
        return {
            size: {
                name: value - self._mthp.get(size, {}).get(name, 0)
                for name, value in counters.items()
            }
            for size, counters in read_mthp().items()
        }

    def _khugepaged_changes(self) -> KhugepagedFigures:
        now = read_khugepaged()
        return KhugepagedFigures(
            **{
                name: getattr(now, name) - getattr(self._khugepaged, name)
                for name in now.__struct_fields__
            }
        )

    def _node(self, node: int) -> NodeFigures:
        figures = read_node_meminfo(node)
        others = self._others[node]
        huge = figures.get("AnonHugePages")
        return NodeFigures(
            free=figures["MemFree"],
            anon=figures["AnonPages"] - others["AnonPages"],
            huge=None if huge is None else huge - others["AnonHugePages"],
        )

    def _cgroup_figures(self) -> dict[str, list[CgroupFigures]]:
        counts = self._shrinker.counts() if self._shrinker else None
        if counts is None:
            self._missing["cgroups.queue"] = why_no_shrinker_debugfs()
        table = {}
        for path in self._cgroups:
            if not self._hierarchy.exists(path):  # removed by a step
                continue
            memory = self._memory(path)
            others = self._others_in_root if path == "/" else {}
            queue: list[int | None] = [None] * self._nodes
            if counts is not None:
                queue[:] = counts.get(self._hierarchy.inode(path), [0] * self._nodes)
            row = []
            for node in range(self._nodes):
                figures = CgroupFigures(
                    anon=_change(memory, others, "anon", node),
                    huge=_change(memory, others, "anon_thp", node),
                    queue=queue[node],
                )
                row.append(figures)
            table[path] = row
        return table

    def _memory(self, path: str) -> dict[str, dict[int, int]]:
        memory = None
        reason = "this kernel has no memory controller"
        if self._hierarchy.has_memory:
            memory = read_memory_by_node(self._hierarchy.directory(path), self._nodes)
            reason = "this kernel has no memory.numa_stat (5.11 brought it; it needs NUMA)"
        for figure, name in (("anon", "anon"), ("huge", "anon_thp")):
            if memory is None:
                self._missing[f"cgroups.{figure}"] = reason
            elif name not in memory:
                self._missing[f"cgroups.{figure}"] = f"this kernel does not count {name} there"
        return memory or {}

    def _cgroup_memory(self, path: str) -> CgroupMemory:
        directory = self._hierarchy.directory(path)
        stat = self._stat(path)
        figures = CgroupMemory()
        for name in ("anon_thp", "thp_fault_alloc", "thp_collapse_alloc"):
            if name in stat:
                others = self._stat_of_root.get(name, 0) if path == "/" else 0
                setattr(figures, name, stat[name] - others)
            else:
                self._lacks(name, "memory.stat")
        if path == "/":
            return figures
        for name in ("current", "peak"):
            value = read_memory_number(directory, f"memory.{name}")
            setattr(figures, name, value)
            if value is None:
                self._lacks(name, f"memory.{name}")
        events = read_memory_events(directory)
        figures.events = CgroupEvents(
            **{name: events.get(name) for name in CgroupEvents.__struct_fields__}
        )
        for name in CgroupEvents.__struct_fields__:
            if name not in events:
                self._lacks(f"events.{name}", "memory.events")
        return figures

    def _lacks(self, name: str, file: str) -> None:
        since = FIGURES["cgroups"][name].since
        brought = f" ({since} brought it)" if since else ""
        reason = f"this kernel does not show {name} in {file}{brought}"
        if not self._hierarchy.has_memory:
            reason = "this kernel has no memory controller"
        self._missing[f"cgroups.{name}"] = reason

    def _stat(self, path: str) -> dict[str, int]:
        if not self._hierarchy.has_memory:
            return {}
        return read_memory_stat(self._hierarchy.directory(path))

    def _regions(self, tasks: Iterable[Task]) -> dict[str, RegionFigures]:
        if self._spans is None:
            self._missing["regions"] = self._no_spans
            return {}
        census = PageCensus(self._spans, self._nodes)
        return {
            f"{task.name}.{name}": census.region(task.pid, region.address, region.size)
            for task in tasks
            if task.alive()
            for name, region in task.regions.items()
        }


def _spans() -> tuple[NodeSpans | None, str]:
    """Which frames belong to which node, or why that is unknown."""
    try:
        spans = read_node_spans()
    except (OSError, ValueError, LookupError) as error:
        return None, f"the nodes of page frames are unknown: {error}"
    return (None, "the zones of two nodes interleave") if spans.overlap() else (spans, "")


def _change(
    now: dict[str, dict[int, int]], before: dict[str, dict[int, int]], name: str, node: int
) -> int | None:
    """How much a figure of memory.numa_stat grew on a node."""
    value = now.get(name, {}).get(node)
    return None if value is None else value - before.get(name, {}).get(node, 0)
