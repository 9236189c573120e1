# SPDX-License-Identifier: GPL-2.0-only
"""The tasks, cgroups and regions that exist at each point of a scenario, without carrying it out.

The file alone decides them. So thplab refuses a step that uses a removed cgroup, an ended task or an
unmapped part before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from thplab.scenario.errors import ScenarioError
from thplab.scenario.extent import Extent
from thplab.scenario.host import Host, Task
from thplab.scenario.naming import check_name, meant, quoted
from thplab.scenario.policies import Policy, check_node, check_policy, turn_of

__all__ = ["Declared", "DeclaredRegion", "DeclaredTask", "Seen"]


LONGEST_TURN = 1 << 16
"""In huge pages. The agent maps each region at a multiple of `turn`, and an address space has 128T."""


class Seen(NamedTuple):
    """What exists at an observation: cgroups by path, regions as "task.region"."""

    cgroups: tuple[str, ...]
    regions: tuple[str, ...]


class DeclaredRegion:
    """A mapped region.

    Attributes:
        size: in bytes.
        unusable: pages that no step may use again, with the reason: "unmapped at step 3 (unmap)".
        protected: pages that no step may write to, with the reason; no page is in two of them.
    """

    __slots__ = ("protected", "size", "unusable")

    def __init__(self, size: int) -> None:
        self.size = size
        self.unusable: dict[Extent, str] = {}
        self.protected: dict[Extent, str] = {}

    def copy(self) -> DeclaredRegion:
        """The region of a forked task."""
        copy = DeclaredRegion(self.size)
        copy.unusable = dict(self.unusable)
        copy.protected = dict(self.protected)
        return copy

    def protect(self, extent: Extent, why: str | None) -> None:
        """From here on the pages may not be written to, and why; None: they may be again."""
        self.protected = {
            part: reason for old, reason in self.protected.items() for part in old.without(extent)
        }
        if why is not None:
            self.protected[extent] = why


class DeclaredTask:
    """A task that is alive."""

    __slots__ = ("cgroup", "regions")

    def __init__(self, cgroup: str) -> None:
        self.cgroup = cgroup
        self.regions: dict[str, DeclaredRegion] = {}


class Declared:
    """The state between two steps.

    Args:
        host: the machine.
        cgroups: the paths below the root, parents before children.
        tasks: those that exist before the first step.

    Attributes:
        where: the place in the file that messages name.
        populated, children: by cgroup, how many tasks and child cgroups it has.
        removed, ended: removed cgroups and ended tasks, with the place of that step.
        observations: what existed at each, by label.
        turn: the allocations after which every interleaving policy so far begins again with its first node.
    """

    def __init__(
        self, host: Host, cgroups: Iterable[str] = (), tasks: Mapping[str, Task] = {}
    ) -> None:
        self.host = host
        self.where = ""
        self.turn = 1
        self.cgroups: dict[str, None] = {"/": None}
        self.populated: dict[str, int] = {"/": 0}
        self.children: dict[str, int] = {"/": 0}
        self.removed: dict[str, str] = {}
        self.tasks: dict[str, DeclaredTask] = {}
        self.ended: dict[str, str] = {}
        self.observations: dict[str, Seen] = {}
        for path in cgroups:
            self.add_cgroup(path)
        for name, task in tasks.items():
            self.where = f"task {quoted(name)}"
            self.add_task(name, task)

    def add_cgroup(self, path: str) -> None:
        """Add a cgroup, whose parent exists."""
        self.cgroups[path] = None
        self.populated[path] = self.children[path] = 0
        self.children[parent_of(path)] += 1

    def add_task(self, name: str, task: Task) -> None:
        """Add a task."""
        self.cgroup(task.cgroup)
        if not -1000 <= task.oom_score_adj <= 1000:
            raise self.wrong(f"oom_score_adj is {task.oom_score_adj}", "it is -1000 to 1000")
        if task.policy is not None:
            self.policy(task.policy)
        self.enter(task.cgroup)
        self.tasks[name] = DeclaredTask(task.cgroup)

    def wrong(self, problem: str, remedy: str) -> ScenarioError:
        """An error at this place."""
        return ScenarioError(problem, remedy, self.where)

    # What steps name. Each raises a ScenarioError if it does not exist.

    def name(self, name: str, kind: str) -> None:
        """Check a new name for a region, a task or an observation."""
        check_name(name, kind, self.where)

    def task(self, name: str) -> DeclaredTask:
        """A living task."""
        task = self.tasks.get(name)
        if task is not None:
            return task
        if name in self.ended:
            raise self.wrong(
                f"task {quoted(name)} has ended at {self.ended[name]}", "use another task"
            )
        raise self.wrong(f"there is no task {quoted(name)}", meant(name, self.tasks, "tasks"))

    def region(self, task: str, name: str) -> DeclaredRegion:
        """A region of a living task."""
        regions = self.task(task).regions
        region = regions.get(name)
        if region is None:
            raise self.wrong(
                f"task {quoted(task)} has no region {quoted(name)}",
                meant(name, regions, f"regions of {quoted(task)}"),
            )
        return region

    def cgroup(self, path: str) -> None:
        """Check that a cgroup exists."""
        if path in self.cgroups:
            return
        if path in self.removed:
            raise self.wrong(
                f"the cgroup {quoted(path)} was removed at {self.removed[path]}",
                "use another cgroup, or remove it later",
            )
        raise self.wrong(f"there is no cgroup {quoted(path)}", meant(path, self.cgroups, "cgroups"))

    def node(self, nid: int) -> None:
        """Check that the host has the node."""
        check_node(nid, len(self.host.nodes), self.where)

    def policy(self, policy: Policy) -> None:
        """Check a policy."""
        check_policy(policy, len(self.host.nodes), self.where)
        self.turn = math.lcm(self.turn, turn_of(policy, self.host.weights()))
        if self.turn > LONGEST_TURN:
            raise self.wrong(
                f"the interleaving policies all begin anew only after {self.turn} allocations",
                f"choose nodes and weights so that they do after {LONGEST_TURN}",
            )

    def memory_controller(self) -> None:
        """Check that the host has the memory controller."""
        if self.host.memcg == "disabled":
            raise self.wrong(
                'a host with memcg = "disabled" has no memory controller',
                'leave the step out, or use memcg = "on"',
            )

    # Tasks in cgroups.

    def may_enter(self, path: str) -> None:
        """Refuse a cgroup that no task can be in."""
        if path != "/" and self.children[path]:
            raise self.wrong(
                f"the cgroup {quoted(path)} has children, so no task can be in it",
                "cgroup v2 keeps tasks in the leaves: use or declare a child",
            )

    def enter(self, path: str) -> None:
        """Put a task into the cgroup."""
        self.may_enter(path)
        self.populated[path] += 1

    def end_task(self, name: str) -> None:
        """End a living task."""
        self.populated[self.task(name).cgroup] -= 1
        del self.tasks[name]
        self.ended[name] = self.where


def parent_of(path: str) -> str:
    """The path of a cgroup's parent."""
    return path[: path.rfind("/")] or "/"
