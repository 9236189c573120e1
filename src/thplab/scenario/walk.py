# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a scenario, walked without carrying them out.

What is alive and mapped at each step is known from the file alone, so a step that uses a cgroup that
was removed, a task that has ended or a part that was unmapped is refused before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from thplab.scenario import schema
from thplab.scenario.errors import ScenarioError
from thplab.scenario.extent import Extent, step_extent
from thplab.scenario.naming import check_name, meant, quoted
from thplab.scenario.parts import PAGE_SIZE
from thplab.scenario.policies import check_node, check_policy
from thplab.scenario.schema import Scenario
from thplab.scenario.tunables import CGROUP_FILES, TUNABLES, cgroup_value, tunable_value
from thplab.scenario.units import exact_size

__all__ = ["Seen", "walk"]

LARGEST_REGION = 64 << 40
MOST_HOLES = 128
LONGEST_WAIT = 86_400


class Seen(NamedTuple):
    """What there is at an observation: cgroups by path, regions as "task.region"."""

    cgroups: tuple[str, ...]
    regions: tuple[str, ...]


class _Region:
    """A mapped region, and the parts of it that were unmapped, each with the step that did it."""

    __slots__ = ("holes", "size")

    def __init__(self, size: int, holes: dict[Extent, str] | None = None) -> None:
        self.size = size
        self.holes = dict(holes or {})


class _Task:
    """A task that is alive."""

    __slots__ = ("cgroup", "regions")

    def __init__(self, cgroup: str) -> None:
        self.cgroup = cgroup
        self.regions: dict[str, _Region] = {}


def walk(scenario: Scenario) -> dict[str, Seen]:
    """Walk the steps; what there is at each observation, by label.

    Raises:
        ScenarioError: the first step that cannot be carried out.
    """
    walker = _Walker(scenario)
    for index, step in enumerate(scenario.steps):
        walker.where = scenario.where(index)
        walker.step(step)
    return walker.observations


class _Walker:
    """The state between two steps."""

    def __init__(self, scenario: Scenario) -> None:
        self.memcg = scenario.host.memcg
        self.node_count = len(scenario.host.nodes)
        self.where = "tasks"
        self.cgroups = dict.fromkeys(("/", *scenario.cgroups))
        self.populated: dict[str, int] = dict.fromkeys(self.cgroups, 0)
        self.children: dict[str, int] = dict.fromkeys(self.cgroups, 0)
        self.removed: dict[str, str] = {}
        self.tasks: dict[str, _Task] = {}
        self.ended: dict[str, str] = {}
        self.observations: dict[str, Seen] = {}
        self._checks: dict[type[Any], Callable[[Any], None]] = {
            schema.Map: self._map,
            schema.Unmap: self._unmap,
            schema.Advise: self._advise,
            schema.Lock: self._lock,
            schema.MovePages: self._move_pages,
            schema.Fork: self._fork,
            schema.Exit: lambda step: self._end(step.task),
            schema.MoveTask: self._move_task,
            schema.Pressure: self._pressure,
            schema.Reclaim: self._reclaim,
            schema.Set: self._set,
            schema.Shrink: self._shrink,
            schema.Rmdir: self._rmdir,
            schema.Wait: self._wait,
            schema.Observe: self._observe,
        }
        for path in scenario.cgroups:
            self.children[_parent(path)] += 1
        for name, task in scenario.tasks.items():
            self.where = f"task {quoted(name)}"
            self._enter(task.cgroup)
            self.tasks[name] = _Task(task.cgroup)

    def step(self, step: schema.Step) -> None:
        if isinstance(step, schema.RangeStep):
            self._range(step)
        check = self._checks.get(type(step))
        if check is not None:
            check(step)

    def _wrong(self, problem: str, remedy: str) -> ScenarioError:
        return ScenarioError(problem, remedy, self.where)

    # What steps name.

    def _task(self, name: str) -> _Task:
        task = self.tasks.get(name)
        if task is not None:
            return task
        if name in self.ended:
            raise self._wrong(
                f"task {quoted(name)} has ended at {self.ended[name]}", "use another task"
            )
        raise self._wrong(f"there is no task {quoted(name)}", meant(name, self.tasks, "tasks"))

    def _cgroup(self, path: str) -> None:
        if path in self.cgroups:
            return
        if path in self.removed:
            raise self._wrong(
                f"the cgroup {quoted(path)} was removed at {self.removed[path]}",
                "use another cgroup, or remove it later",
            )
        raise self._wrong(
            f"there is no cgroup {quoted(path)}", meant(path, self.cgroups, "cgroups")
        )

    def _memory_controller(self) -> None:
        if self.memcg == "disabled":
            raise self._wrong(
                'a host with memcg = "disabled" has no memory controller',
                'leave the step out, or use memcg = "on"',
            )

    def _enter(self, path: str) -> None:
        if path != "/" and self.children[path]:
            raise self._wrong(
                f"the cgroup {quoted(path)} has children, so no task can be in it",
                "cgroup v2 keeps tasks in the leaves: use or declare a child",
            )
        self.populated[path] += 1

    # Memory.

    def _map(self, step: schema.Map) -> None:
        task = self._task(step.task)
        check_name(step.region, "region", self.where)
        if step.region in task.regions:
            raise self._wrong(
                f"task {quoted(step.task)} has a region {quoted(step.region)} already",
                "give this one another name",
            )
        if not 0 < step.size <= LARGEST_REGION or step.size % PAGE_SIZE:
            raise self._wrong(
                f"the size is {exact_size(step.size)}",
                f"a region has whole pages of 4K, up to {exact_size(LARGEST_REGION)}",
            )
        if step.node is not None:
            check_node(step.node, self.node_count, self.where)
            if step.policy is not None:
                raise self._wrong("there are a node and a policy", "use one of the two")
        if step.policy is not None:
            check_policy(step.policy, self.node_count, self.where)
        task.regions[step.region] = _Region(step.size)

    def _region(self, step: schema.RangeStep) -> _Region:
        task = self._task(step.task)
        region = task.regions.get(step.region)
        if region is None:
            raise self._wrong(
                f"task {quoted(step.task)} has no region {quoted(step.region)}",
                meant(step.region, task.regions, f"regions of {quoted(step.task)}"),
            )
        return region

    def _range(self, step: schema.RangeStep) -> None:
        region = self._region(step)
        extent = step_extent(step, region.size, self.where)
        for hole, unmapped_at in region.holes.items():
            if extent.overlaps(hole):
                raise self._wrong(
                    f"a part of region {quoted(step.region)} was unmapped at {unmapped_at}",
                    "choose a range and a part that are still mapped",
                )

    def _unmap(self, step: schema.Unmap) -> None:
        region = self._region(step)
        if len(region.holes) >= MOST_HOLES:
            raise self._wrong(
                f"region {quoted(step.region)} was unmapped in {MOST_HOLES} places already",
                "use larger ranges, or a part of each huge page",
            )
        region.holes[step_extent(step, region.size, self.where)] = self.where

    def _whole(self, step: schema.RangeStep, what: str) -> None:
        if step.offset or step.length is not None or step.part != "all":
            raise self._wrong(f"{what} is for a whole region", "leave out offset, length and part")

    def _advise(self, step: schema.Advise) -> None:
        if step.advice != "collapse":
            self._whole(step, f'advice = "{step.advice}"')
        elif step.part != "all":
            raise self._wrong(
                'advice = "collapse" is for whole huge pages', "use offset and length, no part"
            )

    def _lock(self, step: schema.Lock) -> None:
        self._whole(step, "lock")

    def _move_pages(self, step: schema.MovePages) -> None:
        check_node(step.node, self.node_count, self.where)

    # Tasks.

    def _fork(self, step: schema.Fork) -> None:
        parent = self._task(step.task)
        check_name(step.child, "task", self.where)
        if step.child in self.tasks or step.child in self.ended:
            raise self._wrong(
                f"there is a task {quoted(step.child)} already", "give the child its own name"
            )
        self._enter(parent.cgroup)
        child = _Task(parent.cgroup)
        for name, region in parent.regions.items():
            child.regions[name] = _Region(region.size, region.holes)
        self.tasks[step.child] = child

    def _end(self, name: str) -> None:
        self.populated[self._task(name).cgroup] -= 1
        del self.tasks[name]
        self.ended[name] = self.where

    def _move_task(self, step: schema.MoveTask) -> None:
        task = self._task(step.task)
        self._cgroup(step.cgroup)
        self.populated[task.cgroup] -= 1
        self._enter(step.cgroup)
        task.cgroup = step.cgroup

    def _pressure(self, step: schema.Pressure) -> None:
        check_node(step.node, self.node_count, self.where)
        self._end(step.task)

    # Cgroups, tunables, time.

    def _reclaim(self, step: schema.Reclaim) -> None:
        if (step.cgroup is None) == (step.node is None):
            raise self._wrong(
                "there must be a cgroup or a node, and not both",
                'cgroup = "/victim" is memory.reclaim, node = 0 the reclaim file of the node',
            )
        if step.size <= 0:
            raise self._wrong("the size is 0", 'say how much to reclaim: size = "64M"')
        if step.cgroup is not None:
            self._memory_controller()
            self._cgroup(step.cgroup)
        if step.node is not None:
            check_node(step.node, self.node_count, self.where)

    def _set(self, step: schema.Set) -> None:
        if step.cgroup is None:
            known, kind = TUNABLES, "tunables"
        else:
            known, kind = CGROUP_FILES, "files of a cgroup"
            self._memory_controller()
            self._cgroup(step.cgroup)
            if step.cgroup == "/":
                raise self._wrong("the root cgroup has no limits", "name another cgroup")
        if step.file not in known:
            remedy = meant(step.file, known, kind)
            if step.cgroup is None and step.file in CGROUP_FILES:
                remedy = 'say whose it is: cgroup = "/victim"'
            raise self._wrong(f"there is no file {quoted(step.file)} to set", remedy)
        try:
            if step.cgroup is None:
                tunable_value(step.file, step.value)
            else:
                cgroup_value(step.value)
        except ValueError as error:
            raise self._wrong(f"{step.file} cannot be {quoted(step.value)}", str(error)) from None

    def _shrink(self, step: schema.Shrink) -> None:
        self._cgroup(step.cgroup)
        check_node(step.node, self.node_count, self.where)
        if not 0 <= step.count < 1 << 31:
            raise self._wrong(f"the count is {step.count}", "ask for 0 or more huge pages")

    def _rmdir(self, step: schema.Rmdir) -> None:
        self._cgroup(step.cgroup)
        if step.cgroup == "/":
            raise self._wrong("the root cgroup cannot be removed", "name another cgroup")
        if self.populated[step.cgroup]:
            inside = [name for name, task in self.tasks.items() if task.cgroup == step.cgroup]
            raise self._wrong(
                f"the cgroup {quoted(step.cgroup)} has the task {quoted(inside[0])} in it",
                "let it exit, or move it (move_task) before",
            )
        if self.children[step.cgroup]:
            below = next(path for path in self.cgroups if _parent(path) == step.cgroup)
            raise self._wrong(
                f"the cgroup {quoted(step.cgroup)} has the child {quoted(below)}",
                "remove the children first",
            )
        del self.cgroups[step.cgroup]
        self.children[_parent(step.cgroup)] -= 1
        self.removed[step.cgroup] = self.where

    def _wait(self, step: schema.Wait) -> None:
        if not 1 <= step.seconds <= LONGEST_WAIT:
            raise self._wrong(f"seconds is {step.seconds}", f"wait for 1 to {LONGEST_WAIT} seconds")

    def _observe(self, step: schema.Observe) -> None:
        check_name(step.label, "observation", self.where)
        if step.label in self.observations:
            raise self._wrong(
                f"there is an observation {quoted(step.label)} already",
                "give each observation its own label",
            )
        regions = (
            f"{name}.{region}" for name, task in self.tasks.items() for region in task.regions
        )
        self.observations[step.label] = Seen(tuple(self.cgroups), tuple(regions))


def _parent(path: str) -> str:
    return path[: path.rfind("/")] or "/"
