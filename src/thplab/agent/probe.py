# SPDX-License-Identifier: GPL-2.0-only
"""Finds out by experiment which design of the deferred split queue this kernel has, whatever its version."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from thplab.agent.cgroups import Hierarchy
from thplab.agent.differences import probe_differences
from thplab.agent.kernel_world import KernelWorld
from thplab.agent.observer import Observer
from thplab.agent.task import Task
from thplab.agent.tunables import THP, Tunables
from thplab.mm.geometry import HPAGE_PMD_SIZE
from thplab.observe.node_meminfo import online_nodes
from thplab.observe.shrinker_debugfs import (
    ShrinkerDebugfs,
    find_deferred_split_shrinker,
    why_no_shrinker_debugfs,
)
from thplab.releases.release import Release
from thplab.scenario.parts import Part
from thplab.scenario.step import Step
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.move_task import MoveTask
from thplab.scenario.steps.rmdir import Rmdir
from thplab.scenario.steps.touch import Touch
from thplab.scenario.tunables import CgroupSettings
from thplab.scenario.units import Size

__all__ = ["UNKNOWN", "Verdict", "probe_design", "probe_release"]

UNKNOWN = "unknown"
_PARENT = "/thplab-probe"
_OLD_HOME = f"{_PARENT}/old-home"
_NEW_HOME = f"{_PARENT}/new-home"
_NEAR = 1
_FAR = 2


class Verdict(NamedTuple):
    """What the probe found.

    Attributes:
        design: the name of a design that ships with thplab, or :data:`UNKNOWN`.
        how: the evidence, in one sentence.
    """

    design: str
    how: str


def probe_release(base: Path, tunables: Tunables) -> tuple[Release, str]:
    """What this kernel does, and the evidence for its design.

    For what no experiment can show, the kernel's version decides.

    Args:
        base: the cgroup below which the probe may make its own.
        tunables: set the THP tunables that it needs.
    """
    verdict = probe_design(base, tunables)
    release = Release.of_version(os.uname().release, verdict.design)
    return release.differing(**probe_differences(base, tunables)), verdict.how


def probe_design(base: Path, tunables: Tunables) -> Verdict:
    """Find out the design: by behaviour if the kernel has the shrinker's count file, otherwise by its symbols.

    Args:
        base: the cgroup below which the probe may make its own.
        tunables: set the THP tunables that it needs.
    """
    shrinker = find_deferred_split_shrinker()
    if shrinker is None:
        return _by_symbols(why_no_shrinker_debugfs())
    if len(online_nodes()) < 2:
        return _by_symbols("with one node, a queue that is blind to nodes looks the same")
    hierarchy = Hierarchy(base)
    tasks: dict[str, Task] = {}
    try:
        return _by_behaviour(hierarchy, tasks, tunables, shrinker)
    finally:
        for task in tasks.values():
            task.kill()
        hierarchy.remove_all()


def _by_behaviour(
    hierarchy: Hierarchy, tasks: dict[str, Task], tunables: Tunables, shrinker: ShrinkerDebugfs
) -> Verdict:
    """Queue huge pages on two nodes and read the count's columns; then take the cgroup offline."""
    tunables.set(THP / "enabled", "always")
    if (THP / "shrink_underused").exists():
        tunables.set(THP / "shrink_underused", 0)
    hierarchy.make({path: CgroupSettings() for path in (_PARENT, _OLD_HOME, _NEW_HOME)})
    tasks["probe"] = Task.start("probe", [], 1000)
    hierarchy.attach(_OLD_HOME, tasks["probe"].pid)
    world = KernelWorld(tasks, hierarchy, tunables, Observer(2, hierarchy, []))
    for region, node, count in (("near", 0, _NEAR), ("far", 1, _FAR)):
        for step in _queue_huge_pages(region, node, count):
            trouble = world.perform(step)
            if trouble is not None:
                return _by_symbols(f"the probe failed: {trouble.do}: {trouble.text}")
    columns = shrinker.counts().get(hierarchy.inode(_OLD_HOME), [0, 0])[:2]
    if columns == [_NEAR, _FAR]:
        return Verdict("list_lru", f"the shrinker counts each node's huge pages apart: {columns}")
    if columns != [_NEAR + _FAR] * 2:
        return _by_symbols(
            f"the probe queued {_NEAR} and {_FAR} huge pages, the shrinker counts {columns}"
        )
    world.perform(MoveTask(task="probe", cgroup=_NEW_HOME))
    world.perform(Rmdir(cgroup=_OLD_HOME))
    inherited = shrinker.counts().get(hierarchy.inode(_PARENT), [0])[0]
    how = f"the shrinker counts the same on each node: {columns}"
    if inherited:
        return Verdict(
            "split_queue_reparented", f"{how}; the parent inherits an offline cgroup's queue"
        )
    return Verdict("split_queue", f"{how}; no cgroup inherits an offline one's queue")


def _queue_huge_pages(region: str, node: int, count: int) -> list[Step]:
    size = Size(count * HPAGE_PMD_SIZE)
    return [
        Map(task="probe", region=region, size=size, node=node, thp="hugepage"),
        Touch(task="probe", region=region, part=Part.parse("first page of each huge page")),
        Discard(task="probe", region=region, part=Part.parse("upper half of each huge page")),
    ]


def _by_symbols(reason: str, proc: Path = Path("/proc")) -> Verdict:
    """Decide by the functions in /proc/kallsyms that only one design has."""
    try:
        text = (proc / "kallsyms").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return Verdict(UNKNOWN, f"{reason}; and this kernel has no /proc/kallsyms")
    names = set(re.findall(r"^\S+ \S (\w+)", text, re.MULTILINE))
    how = f"by the names of the kernel's functions, because {reason}"
    if "deferred_split_isolate" in names:
        return Verdict("list_lru", how)
    if "reparent_deferred_split_queue" in names:
        return Verdict("split_queue_reparented", how)
    if "deferred_split_scan" in names:
        return Verdict("split_queue", how)
    return Verdict(UNKNOWN, f"{how}: no design has them")
