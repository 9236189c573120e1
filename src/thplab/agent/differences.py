# SPDX-License-Identifier: GPL-2.0-only
"""Small experiments that find out what this kernel does, apart from the design of the queue."""

from __future__ import annotations

from pathlib import Path

from thplab.agent.cgroups import Hierarchy
from thplab.agent.kernel_world import KernelWorld
from thplab.agent.observer import Observer
from thplab.agent.task import Task
from thplab.agent.tunables import THP, Tunables
from thplab.mm.geometry import HPAGE_PMD_SIZE
from thplab.observe.node_meminfo import online_nodes
from thplab.scenario.observation import RegionFigures
from thplab.scenario.parts import Part
from thplab.scenario.step import Step
from thplab.scenario.steps.advise import Advise
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.exit import Exit
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.lock import Lock
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.set import Set
from thplab.scenario.steps.shrink import Shrink
from thplab.scenario.steps.split_huge_pages import SplitHugePages
from thplab.scenario.steps.touch import Touch
from thplab.scenario.tunables import CgroupSettings
from thplab.scenario.units import Size

__all__ = ["probe_differences"]

_CGROUP = "/thplab-differences"
_TASK = "probe"
_CHILD = "probe-child"
_REGION = "heap"
_SIZE = Size(HPAGE_PMD_SIZE)
_FIRST = Part.parse("first page of each huge page")


def probe_differences(base: Path, tunables: Tunables) -> dict[str, bool]:
    """The fields of a Release that experiments can find out here.

    Args:
        base: the cgroup below which the probe may make its own.
        tunables: switch huge pages on.
    """
    tunables.set(THP / "enabled", "always")
    found = {"splits_underused": (THP / "shrink_underused").exists()}
    for name, steps, task, has_it in (
        ("pt_reclaim", _discard_and_touch_again(), _TASK, _has_a_huge_page),
        ("reuse_large_folio", _write_after_a_fork(), _TASK, _has_no_page_of_its_own),
        ("scan_skips_mlocked", _scan_an_mlocked_one(), _TASK, _has_a_huge_page),
        ("split_unmaps_each_pmd", _split_after_a_fork(), _CHILD, _has_no_huge_page),
    ):
        seen = _try(base, tunables, steps, task)
        if seen is not None:
            found[name] = has_it(seen)
    return found


def _has_a_huge_page(region: RegionFigures) -> bool:
    return any(node.huge for node in region.nodes)


def _has_no_huge_page(region: RegionFigures) -> bool:
    return not _has_a_huge_page(region)


def _has_no_page_of_its_own(region: RegionFigures) -> bool:
    return not any(node.base for node in region.nodes)


def _discard_and_touch_again() -> list[Step]:
    """Whether a huge page fits in the place of base pages after the task has given all of them back."""
    return [
        Map(task=_TASK, region=_REGION, size=_SIZE, thp="nohugepage"),
        Touch(task=_TASK, region=_REGION, part=_FIRST),
        Discard(task=_TASK, region=_REGION),
        Advise(task=_TASK, region=_REGION, advice="hugepage"),
        Touch(task=_TASK, region=_REGION, part=_FIRST),
    ]


def _write_after_a_fork() -> list[Step]:
    """Whether a write keeps a page of a huge page that page table entries map, after the child has ended."""
    return [
        Map(task=_TASK, region=_REGION, size=_SIZE, thp="hugepage"),
        Touch(task=_TASK, region=_REGION, part=_FIRST),
        Fork(task=_TASK, child=_CHILD),
        Exit(task=_CHILD),
        Discard(task=_TASK, region=_REGION, part=Part.parse("upper half of each huge page")),
        Touch(task=_TASK, region=_REGION, part=_FIRST),
    ]


def _split_after_a_fork() -> list[Step]:
    """Whether one attempt splits a huge page that the child's PMD maps too."""
    return [
        Map(task=_TASK, region=_REGION, size=_SIZE, thp="hugepage"),
        Touch(task=_TASK, region=_REGION, part=_FIRST),
        Fork(task=_TASK, child=_CHILD),
        SplitHugePages(task=_TASK, region=_REGION, part=_FIRST),
    ]


def _scan_an_mlocked_one() -> list[Step]:
    """Whether the shrinker splits a huge page of zeros although it is mlocked."""
    return [
        Set(file="shrink_underused", value=1),
        Set(file="khugepaged/max_ptes_none", value=0),
        Map(task=_TASK, region=_REGION, size=_SIZE, thp="hugepage"),
        Lock(task=_TASK, region=_REGION),
        Shrink(cgroup=_CGROUP, node=online_nodes()[0], count=1),
    ]


def _try(base: Path, tunables: Tunables, steps: list[Step], task: str) -> RegionFigures | None:
    """A task's region after the steps; None if the kernel refused one of them."""
    hierarchy = Hierarchy(base)
    tasks = {_TASK: Task.start(_TASK, [], 1000)}
    try:
        hierarchy.make({_CGROUP: CgroupSettings()})
        hierarchy.attach(_CGROUP, tasks[_TASK].pid)
        observer = Observer(len(online_nodes()), hierarchy, [])
        world = KernelWorld(tasks, hierarchy, tunables, observer)
        if any(world.perform(step) is not None for step in steps):
            return None
        return observer.observe("probe", tasks.values()).regions.get(f"{task}.{_REGION}")
    finally:
        for one in tasks.values():
            one.kill()
        hierarchy.remove_all()
