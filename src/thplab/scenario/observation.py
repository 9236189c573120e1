# SPDX-License-Identifier: GPL-2.0-only
"""Observations and Runs: one shape for the model and for kernels.

A figure that a backend cannot see is None, and None equals nothing, not even None.
:attr:`Observation.missing` has the reason, under the path of the figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, get_type_hints

import msgspec

from thplab.releases.release import Release
from thplab.scenario.host_facts import HostFacts
from thplab.scenario.rules import (
    CHARGED,
    COUNTED,
    EXACT,
    FREE_RUNNING,
    KERNEL_OWN,
    OF_PROCESSES,
    Figure,
    Rule,
    Unit,
)

__all__ = [
    "FIGURES",
    "NODELESS",
    "CgroupEvents",
    "CgroupFigures",
    "CgroupMemory",
    "KhugepagedFigures",
    "NodeFigures",
    "Observation",
    "RegionFigures",
    "RegionNode",
    "Run",
    "StepOutcome",
    "without_figures",
]


class NodeFigures(msgspec.Struct, kw_only=True):
    """One node (/sys/devices/system/node/nodeN/meminfo)."""

    free: Annotated[int | None, Figure("bytes", "free memory", "free (MemFree)", KERNEL_OWN)] = None
    anon: Annotated[
        int | None, Figure("bytes", "anonymous memory", "anonymous (AnonPages)", OF_PROCESSES, True)
    ] = None
    huge: Annotated[
        int | None,
        Figure(
            "bytes",
            "of it in huge pages",
            "in anonymous huge pages that a PMD maps whole (AnonHugePages)",
            OF_PROCESSES,
            True,
            "memory in huge pages",
        ),
    ] = None


class CgroupFigures(msgspec.Struct, kw_only=True):
    """One cgroup on one node (memory.numa_stat), and the shrinker's count."""

    anon: Annotated[
        int | None, Figure("bytes", "anonymous memory", "anonymous (anon)", OF_PROCESSES, True)
    ] = None
    huge: Annotated[
        int | None,
        Figure(
            "bytes",
            "of it in huge pages",
            "in huge pages that a PMD maps whole (anon_thp)",
            EXACT,
            True,
            "memory in huge pages",
        ),
    ] = None
    queue: Annotated[
        int | None,
        Figure(
            "huge pages",
            "huge pages on the queue",
            "what the deferred split shrinker's count file shows for the pair; in the old designs the "
            "cgroup's whole queue in each column",
            EXACT,
            True,
        ),
    ] = None


def _event(words: str, rule: Rule, since: str = "") -> Figure:
    about = f"{words} (memory.events)"
    return Figure("events", words, about, rule, since=since, below_root=True, quiet=True)


class CgroupEvents(msgspec.Struct, kw_only=True):
    """memory.events of a cgroup and its descendants."""

    low: Annotated[
        int | None,
        _event("times that reclaim took from it although within memory.low", FREE_RUNNING),
    ] = None
    high: Annotated[
        int | None, _event("times that its tasks reclaimed because over memory.high", FREE_RUNNING)
    ] = None
    max: Annotated[int | None, _event("times that a charge met memory.max", FREE_RUNNING)] = None
    oom: Annotated[
        int | None, _event("times that reclaim at memory.max was not enough", FREE_RUNNING)
    ] = None
    oom_kill: Annotated[int | None, _event("tasks of it that the OOM killer killed", COUNTED)] = (
        None
    )
    oom_group_kill: Annotated[
        int | None, _event("times that all of its tasks were killed together", COUNTED, "5.17")
    ] = None


def _stat(unit: Unit, words: str, name: str, rule: Rule) -> Figure:
    return Figure(unit, words, f"{words} ({name} of memory.stat)", rule, True, quiet=True)


class CgroupMemory(msgspec.Struct, kw_only=True):
    """One cgroup on all nodes, its descendants included."""

    current: Annotated[
        int | None,
        Figure(
            "bytes",
            "memory charged",
            "all memory charged (memory.current)",
            CHARGED,
            True,
            below_root=True,
        ),
    ] = None
    peak: Annotated[
        int | None,
        Figure(
            "bytes",
            "the most that was ever charged",
            "the most that was ever charged (memory.peak)",
            CHARGED,
            True,
            since="5.19",
            below_root=True,
            quiet=True,
        ),
    ] = None
    anon_thp: Annotated[
        int | None, _stat("bytes", "in huge pages that a PMD maps whole", "anon_thp", EXACT)
    ] = None
    thp_fault_alloc: Annotated[
        int | None,
        _stat("events", "faults of its tasks that got a huge page", "thp_fault_alloc", COUNTED),
    ] = None
    thp_collapse_alloc: Annotated[
        int | None,
        _stat(
            "events", "huge pages allocated to collapse its pages", "thp_collapse_alloc", COUNTED
        ),
    ] = None
    events: CgroupEvents = msgspec.field(default_factory=CgroupEvents)


class RegionNode(msgspec.Struct, kw_only=True):
    """A region's memory on one node (/proc/PID/pagemap, /proc/kpageflags)."""

    huge: Annotated[
        int | None,
        Figure(
            "huge pages",
            "huge pages whole",
            "huge pages (PMD order) still whole, mapped in full or in part",
            EXACT,
            True,
        ),
    ] = None
    split: Annotated[
        int | None,
        Figure(
            "huge pages",
            "huge pages split",
            "huge-page-sized, aligned ranges with base pages and no whole huge page; each is counted on "
            "the node of its first base page",
            EXACT,
            True,
        ),
    ] = None
    base: Annotated[
        int | None,
        Figure(
            "pages",
            "base pages",
            "present base pages that are not part of a whole huge page, the shared zero page aside",
            EXACT,
            True,
        ),
    ] = None


class RegionFigures(msgspec.Struct, kw_only=True):
    """A region: its figures by node, and those that belong to no node."""

    nodes: list[RegionNode]
    zero: Annotated[
        int | None,
        Figure("pages", "shared zero pages", "pages that map the shared zero page", EXACT, True),
    ] = None
    swapped: Annotated[
        int | None, Figure("pages", "pages swapped out", "pages that are swapped out", EXACT)
    ] = None
    absent: Annotated[
        int | None,
        Figure(
            "pages",
            "pages absent",
            "pages that were never touched, or were discarded or unmapped",
            EXACT,
            True,
        ),
    ] = None


class KhugepagedFigures(msgspec.Struct, kw_only=True):
    """The daemon (/sys/kernel/mm/transparent_hugepage/khugepaged/), since the scenario began."""

    full_scans: Annotated[
        int | None,
        Figure(
            "events",
            "khugepaged/full_scans",
            "rounds through all registered address spaces",
            COUNTED,
        ),
    ] = None
    pages_collapsed: Annotated[
        int | None,
        Figure(
            "huge pages",
            "khugepaged/pages_collapsed",
            "huge pages that khugepaged made; those of MADV_COLLAPSE do not count",
            COUNTED,
        ),
    ] = None


def _figures(*structs: type[msgspec.Struct]) -> Mapping[str, Figure]:
    """The figures of a section, by name, from the annotations of its fields."""
    return {
        name: figure
        for struct in structs
        for name, hint in get_type_hints(struct, include_extras=True).items()
        for figure in getattr(hint, "__metadata__", ())
    }


_OF_CGROUP = {
    **_figures(CgroupMemory),
    **{f"events.{name}": figure for name, figure in _figures(CgroupEvents).items()},
}

FIGURES: Mapping[str, Mapping[str, Figure]] = {
    "nodes": _figures(NodeFigures),
    "cgroups": {**_figures(CgroupFigures), **_OF_CGROUP},
    "regions": _figures(RegionNode, RegionFigures),
    "khugepaged": _figures(KhugepagedFigures),
}
"""The figures of the sections whose names are the same everywhere."""

NODELESS: Mapping[str, frozenset[str]] = {
    "nodes": frozenset(),
    "cgroups": frozenset(_OF_CGROUP),
    "regions": frozenset(_figures(RegionFigures)),
    "khugepaged": frozenset(_figures(KhugepagedFigures)),
}
"""Figures that belong to no node."""


class Observation(msgspec.Struct, kw_only=True):
    """What one `observe` step saw. Counters are changes since the scenario began."""

    label: str
    nodes: list[NodeFigures]
    cgroups: dict[str, list[CgroupFigures]]
    """By path, then by node."""
    memory: dict[str, CgroupMemory] = {}
    """By path: what a cgroup has on all nodes together."""
    regions: dict[str, RegionFigures]
    """By "task.region"; the tasks alive at that moment."""
    vmstat: dict[str, int | None]
    mthp: dict[str, dict[str, int | None]]
    """By size as the kernel writes it ("2048kB"), then by counter."""
    khugepaged: KhugepagedFigures = msgspec.field(default_factory=KhugepagedFigures)
    seconds: float = 0.0
    """How long ago the scenario began: on a kernel real time, on the model that of its `wait` steps."""
    missing: dict[str, str] = {}


def without_figures(seen: Observation, reason: str) -> Observation:
    """The same observation without its figures, because an earlier step did not happen."""
    return Observation(
        label=seen.label,
        nodes=[NodeFigures() for _ in seen.nodes],
        cgroups={path: [CgroupFigures() for _ in row] for path, row in seen.cgroups.items()},
        memory={path: CgroupMemory() for path in seen.memory},
        regions={
            name: RegionFigures(nodes=[RegionNode() for _ in region.nodes])
            for name, region in seen.regions.items()
        },
        vmstat={},
        mthp={},
        seconds=seen.seconds,
        missing=dict.fromkeys(
            ("nodes", "cgroups", "regions", "vmstat", "mthp", "khugepaged"), reason
        ),
    )


class StepOutcome(msgspec.Struct, kw_only=True):
    """What a step did that an observation does not show, in one line: which task the OOM killer killed, an error.

    `step` is its index in `Scenario.steps`, from 0; `Scenario.where()` names it for a reader. `done` is
    False if the kernel, or the release, has no interface for the step.
    """

    step: int
    do: str
    text: str
    done: bool = True


class Run(msgspec.Struct, kw_only=True):
    """One scenario on one backend."""

    scenario: str
    backend: str
    """"model" or "kernel"."""
    title: str
    """The heading of its column."""
    observations: list[Observation]
    outcomes: list[StepOutcome] = []
    warnings: list[str] = []
    release: Release
    """The release that the model stood for, or what the agent found out about the kernel."""
    kernel: str = ""
    """The kernel's version (uname -r); "" for the model."""
    notes: list[str] = []
    """How thplab ran it: which kernel, which emulation, which complaints are known and harmless."""
    host: HostFacts | None = None
    """What the kernel's nodes had when the scenario began; of the model: what it was told; None: unknown."""

    @property
    def design(self) -> str:
        """The design of the deferred split queue."""
        return self.release.design
