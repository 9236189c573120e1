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

_TASK = "probe"
_CHILD = "probe-child"
_REGION = "heap"
_SIZE = schema.Size(2 << 20)
_FIRST = "first page of each huge page"


def probe_traits(base: Path, tunables: Tunables) -> dict[str, bool]:
    """The traits of :attr:`thplab.scenario.observation.Run.traits` that could be found out.

    Args:
        base: the cgroup that the probing task goes into.
        tunables: by which huge pages are switched on.
    """
    tunables.set(THP / "enabled", "always")
    traits = {}
    for name, steps, region in (
        ("pt_reclaim", _discard_and_touch_again(), _TASK),
        ("reuse_large_folio", _write_after_a_fork(), _TASK),
    ):
        seen = _try(base, tunables, steps, f"{region}.{_REGION}")
        if seen is None:
            continue
        huge = sum(node.huge or 0 for node in seen.nodes)
        own = sum(node.base or 0 for node in seen.nodes)
        traits[name] = huge == 1 if name == "pt_reclaim" else own == 0
    return traits


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


def _try(
    base: Path, tunables: Tunables, steps: list[schema.Step], region: str
) -> RegionFigures | None:
    """The region after the steps; None if one of them was refused."""
    hierarchy = Hierarchy(base)
    tasks = {_TASK: Task.start(_TASK, [], 1000)}
    try:
        hierarchy.attach("/", tasks[_TASK].pid)
        observer = Observer(len(online_nodes()), hierarchy, [])
        performer = Performer(tasks, hierarchy, tunables, observer)
        if any(performer.perform(step) for step in steps):
            return None
        return observer.observe("probe", tasks.values()).regions.get(region)
    finally:
        for task in tasks.values():
            task.kill()
        hierarchy.remove_all()
