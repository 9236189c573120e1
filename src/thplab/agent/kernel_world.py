# SPDX-License-Identifier: GPL-2.0-only
"""A running kernel as the world that steps act on."""

from __future__ import annotations

import errno
from pathlib import Path

from thplab.agent import system_calls
from thplab.agent.cgroups import Hierarchy
from thplab.agent.khugepaged import wait_until_khugepaged_sleeps
from thplab.agent.observer import Observer
from thplab.agent.task import Task
from thplab.agent.tunables import Tunables, path_of
from thplab.mm.geometry import HPAGE_PMD_SIZE, PAGE_SIZE
from thplab.observe.node_meminfo import read_node_meminfo
from thplab.observe.page_census import PagesOfTask
from thplab.observe.shrinker_debugfs import find_deferred_split_shrinker, why_no_shrinker_debugfs
from thplab.observe.vmstat import read_vmstat
from thplab.scenario.observation import Observation, StepOutcome, without_figures
from thplab.scenario.policies import Policy
from thplab.scenario.step import RangeStep, Step
from thplab.scenario.tunables import Tunable, Value
from thplab.scenario.worlds import NotOffered, TaskIsDead

__all__ = ["KernelWorld", "present_folios"]


class KernelWorld:
    """The kernel that this process runs on; a thplab.scenario.worlds.KernelWorld.

    Args:
        tasks: the scenario's tasks by name; fork() adds to them.
        hierarchy: its cgroups.
        tunables: set its tunables.
        observer: takes its observations.
        khugepaged_awake: a step that wakes khugepaged is over only when that sleeps again. In the model a pass takes
            no time, but on a kernel the next step, or an observation, could come before it or into its middle.

    Attributes:
        observations: those taken so far.
    """

    def __init__(
        self,
        tasks: dict[str, Task],
        hierarchy: Hierarchy,
        tunables: Tunables,
        observer: Observer,
        *,
        khugepaged_awake: bool = False,
    ) -> None:
        self.observations: list[Observation] = []
        self._undone = ""
        self._tasks = tasks
        self._hierarchy = hierarchy
        self._tunables = tunables
        self._observer = observer
        self._khugepaged_awake = khugepaged_awake

    def perform(self, step: Step, index: int = 0) -> StepOutcome | None:
        """Carry out one step.

        Returns:
            What it did that an observation does not show. If the kernel refuses the step, that is the
            outcome, and the scenario goes on.
        """
        dead_before = {name for name, task in self._tasks.items() if not task.alive()}
        done = True
        try:
            text = step.on_kernel(self)
        except TaskIsDead as death:
            text = "the task is dead" if str(death) in dead_before else ""
        except NotOffered as lack:
            done, text = False, f"not done: {lack}"
            self._undone = self._undone or f"an earlier step was not done: {lack}"
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "?")
            text = f"refused: {name} ({error.strerror})"
        if self._khugepaged_awake:
            wait_until_khugepaged_sleeps()
        texts = [text] if text else []
        texts.extend(
            f"task {name} was killed by the OOM killer"
            for name, task in self._tasks.items()
            if name not in dead_before and not task.alive() and not task.ended
        )
        if not texts:
            return None
        kind = str(step.__struct_config__.tag)
        return StepOutcome(step=index, do=kind, text="; ".join(texts), done=done)

    def set_mempolicy(self, name: str, policy: Policy) -> None:
        """set_mempolicy(2) of a task before the first step."""
        try:
            self._tasks[name].set_mempolicy(policy)
        except NotOffered as lack:
            self._undone = self._undone or f"task {name} did not get its policy: {lack}"

    # The methods of thplab.scenario.worlds.KernelWorld.

    def task(self, name: str) -> Task:
        """A living task."""
        task = self._tasks[name]
        if not task.alive():
            raise TaskIsDead(name)
        return task

    def ranges(self, step: RangeStep) -> list[tuple[int, int]]:
        """The address ranges of a step."""
        region = self._tasks[step.task].regions[step.region]
        extent = step.extent(region.size, f"a step on region {step.region}")
        return [(region.address + offset, length) for offset, length in extent.ranges()]

    def call_each(self, step: RangeStep, function: str, *arguments: int) -> str:
        """Make the step's task call a function for each of the ranges."""
        task = self.task(step.task)
        for address, length in self.ranges(step):
            task.call(function, address, length, *arguments)
        return ""

    def fork(self, task: str, child: str) -> None:
        """fork(2)."""
        self._tasks[child] = self.task(task).fork(child)

    def attach(self, cgroup: str, task: str) -> None:
        """A write to cgroup.procs."""
        self._hierarchy.attach(cgroup, self.task(task).pid)

    def cgroup_file(self, cgroup: str, name: str) -> Path:
        """A file of a cgroup."""
        return self._hierarchy.directory(cgroup) / name

    def rmdir(self, cgroup: str) -> None:
        """rmdir(2)."""
        self._hierarchy.rmdir(cgroup)

    def set_tunable(self, row: Tunable, value: Value) -> None:
        """Write it; the agent restores the old value after the scenario."""
        path = path_of(row)
        if not path.is_file():
            raise NotOffered(f"this kernel has no tunable {row.file}")
        self._tunables.set(path, row.text(value))

    def shrink(self, cgroup: str, node: int, count: int) -> None:
        """A write to the scan file."""
        shrinker = find_deferred_split_shrinker()
        if shrinker is None:
            raise NotOffered(why_no_shrinker_debugfs())
        shrinker.scan(self._hierarchy.inode(cgroup), node, count)

    def move_pages(self, task: str, addresses: list[int], node: int) -> list[int]:
        """move_pages(2)."""
        return system_calls.move_pages(self.task(task).pid, addresses, node)

    def folios(self, step: RangeStep) -> list[int]:
        """An address of each folio that is present in the ranges."""
        found: list[int] = []
        with PagesOfTask(self.task(step.task).pid) as pages:
            for address, length in self.ranges(step):
                found.extend(present_folios(pages, address, length))
        return found

    def node_size(self, node: int) -> int:
        """MemTotal of a node."""
        return read_node_meminfo(node)["MemTotal"]

    def oom_kills(self) -> int:
        """The kernel's count."""
        return read_vmstat().get("oom_kill", 0)

    def observe(self, label: str) -> None:
        """Read the kernel's files."""
        seen = self._observer.observe(label, self._tasks.values())
        self.observations.append(without_figures(seen, self._undone) if self._undone else seen)


def present_folios(pages: PagesOfTask, address: int, length: int) -> list[int]:
    """An address in the range of each folio that has a page present there, in ascending order."""
    found: list[int] = []
    for start in range(address - address % HPAGE_PMD_SIZE, address + length, HPAGE_PMD_SIZE):
        first = max(start, address)  # it may lie within a huge page
        end = min(start + HPAGE_PMD_SIZE, address + length)
        contents = pages.range_at(first, (end - first) // PAGE_SIZE)
        indexes = [index for _head, index in contents.whole]
        indexes.extend(index for index, _pfn in contents.base)
        found.extend(first + index * PAGE_SIZE for index in sorted(indexes))
    return found
