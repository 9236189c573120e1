# SPDX-License-Identifier: GPL-2.0-only
"""What releases do differently beside the design of the queue: found out by small experiments."""

from __future__ import annotations

from pathlib import Path

from thplab.agent.cgroups import Hierarchy
from thplab.agent.observer import Observer
from thplab.agent.steps import Performer
from thplab.agent.task import Task
from thplab.agent.tunables import THP, Tunables
from thplab.observe.node_meminfo import online_nodes
from thplab.scenario import schema
from thplab.scenario.observation import RegionFigures

__all__ = ["probe_traits"]

_CGROUP = "/thplab-traits"
_TASK = "probe"
_CHILD = "probe-child"
_REGION = "heap"
_SIZE = schema.Size(2 << 20)
_FIRST = "first page of each huge page"


def probe_traits(base: Path, tunables: Tunables) -> dict[str, bool]:
    """The traits of :attr:`thplab.scenario.observation.Run.traits` that could be found out.

    Args:
        base: the cgroup below which the probe may make its own.
        tunables: by which huge pages are switched on.
    """
    tunables.set(THP / "enabled", "always")
    traits = {"splits_underused": (THP / "shrink_underused").exists()}
    for name, steps, has_it in (
        ("pt_reclaim", _discard_and_touch_again(), _has_a_huge_page),
        ("reuse_large_folio", _write_after_a_fork(), _has_no_page_of_its_own),
        ("scan_skips_mlocked", _scan_an_mlocked_one(), _has_a_huge_page),
    ):
        seen = _try(base, tunables, steps)
        if seen is not None:
            traits[name] = has_it(seen)
    return traits


def _has_a_huge_page(region: RegionFigures) -> bool:
    return any(node.huge for node in region.nodes)


def _has_no_page_of_its_own(region: RegionFigures) -> bool:
    return not any(node.base for node in region.nodes)


def _discard_and_touch_again() -> list[schema.Step]:
    """Whether a huge page fits in where base pages were, once all of them are given back."""
    return [
        schema.Map(task=_TASK, region=_REGION, size=_SIZE, thp="nohugepage"),
        schema.Touch(task=_TASK, region=_REGION, part=_FIRST),
        schema.Discard(task=_TASK, region=_REGION),
        schema.Advise(task=_TASK, region=_REGION, advice="hugepage"),
        schema.Touch(task=_TASK, region=_REGION, part=_FIRST),
    ]


def _write_after_a_fork() -> list[schema.Step]:
    """Whether a page of a huge page that page table entries map is kept, once the child is gone."""
    return [
        schema.Map(task=_TASK, region=_REGION, size=_SIZE, thp="hugepage"),
        schema.Touch(task=_TASK, region=_REGION, part=_FIRST),
        schema.Fork(task=_TASK, child=_CHILD),
        schema.Exit(task=_CHILD),
        schema.Discard(task=_TASK, region=_REGION, part="upper half of each huge page"),
        schema.Touch(task=_TASK, region=_REGION, part=_FIRST),
    ]


def _scan_an_mlocked_one() -> list[schema.Step]:
    """Whether the shrinker splits a huge page of zeros although it is mlocked."""
    return [
        schema.Set(file="shrink_underused", value=1),
        schema.Set(file="khugepaged/max_ptes_none", value=0),
        schema.Map(task=_TASK, region=_REGION, size=_SIZE, thp="hugepage"),
        schema.Lock(task=_TASK, region=_REGION),
        schema.Shrink(cgroup=_CGROUP, node=online_nodes()[0], count=1),
    ]


def _try(base: Path, tunables: Tunables, steps: list[schema.Step]) -> RegionFigures | None:
    """The task's region after the steps; None if one of them was refused."""
    hierarchy = Hierarchy(base)
    tasks = {_TASK: Task.start(_TASK, [], 1000)}
    try:
        hierarchy.make({_CGROUP: schema.Cgroup()})
        hierarchy.attach(_CGROUP, tasks[_TASK].pid)
        observer = Observer(len(online_nodes()), hierarchy, [])
        performer = Performer(tasks, hierarchy, tunables, observer)
        if any(performer.perform(step) for step in steps):
            return None
        return observer.observe("probe", tasks.values()).regions.get(f"{_TASK}.{_REGION}")
    finally:
        for task in tasks.values():
            task.kill()
        hierarchy.remove_all()
