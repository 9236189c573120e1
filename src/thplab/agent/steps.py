# SPDX-License-Identifier: GPL-2.0-only
"""Each step of the language, done by its real interface."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thplab.agent import system_calls
from thplab.agent.address_ranges import address_ranges
from thplab.agent.cgroups import Hierarchy
from thplab.agent.observer import Observer, without_figures
from thplab.agent.task import Region, Task, TaskDied
from thplab.agent.task_process import Operation
from thplab.agent.tunables import THP, Tunables
from thplab.observe.node_meminfo import read_node_meminfo
from thplab.observe.page_census import BASE_PAGE, HUGE_PAGE, PagesOfTask
from thplab.observe.shrinker_debugfs import find_deferred_split_shrinker, why_no_shrinker_debugfs
from thplab.observe.vmstat import read_vmstat
from thplab.scenario import schema
from thplab.scenario.observation import Observation

__all__ = ["NotOffered", "Performer"]

_ADVICE = {
    "hugepage": system_calls.MADV_HUGEPAGE,
    "nohugepage": system_calls.MADV_NOHUGEPAGE,
    "collapse": system_calls.MADV_COLLAPSE,
}
_NO_LONGER_THERE = "the task is dead"


class NotOffered(Exception):
    """This kernel has no interface for the step; the message says what is missing."""


class Performer:
    """Does the steps of one scenario.

    Args:
        tasks: the scenario's tasks by name; forks are added.
        hierarchy: its cgroups.
        tunables: what it sets.
        observer: takes its observations.

    Attributes:
        observations: those taken so far.
    """

    def __init__(
        self,
        tasks: dict[str, Task],
        hierarchy: Hierarchy,
        tunables: Tunables,
        observer: Observer,
    ) -> None:
        self.observations: list[Observation] = []
        self._undone = ""
        self._tasks = tasks
        self._hierarchy = hierarchy
        self._tunables = tunables
        self._observer = observer
        self._by_type: dict[type[schema.Step], Callable[[Any], str]] = {
            schema.Map: self._map,
            schema.Touch: self._touch,
            schema.Discard: self._discard,
            schema.Unmap: self._unmap,
            schema.Advise: self._advise,
            schema.Lock: self._lock,
            schema.MovePages: self._move_pages,
            schema.Fork: self._fork,
            schema.Exit: self._exit,
            schema.MoveTask: self._move_task,
            schema.Pressure: self._pressure,
            schema.Reclaim: self._reclaim,
            schema.Set: self._set,
            schema.Shrink: self._shrink,
            schema.Rmdir: self._rmdir,
            schema.Wait: self._wait,
            schema.Observe: self._observe,
        }

    def perform(self, step: schema.Step) -> str:
        """Do one step.

        Returns:
            What it did that an observation does not show, or "". A step that the kernel refuses
            is such a text too: the scenario goes on.
        """
        dead_before = {name for name, task in self._tasks.items() if not task.alive()}
        try:
            text = self._by_type[type(step)](step)
        except TaskDied as death:
            text = _NO_LONGER_THERE if str(death) in dead_before else ""
        except NotOffered as lack:
            text = f"not done: {lack}"
            self._undone = self._undone or f"an earlier step was not done: {lack}"
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "?")
            text = f"refused: {name} ({error.strerror})"
        killed = [
            name
            for name, task in self._tasks.items()
            if name not in dead_before and not task.alive() and not isinstance(step, schema.Exit)
        ]
        texts = [text] if text else []
        texts.extend(f"task {name} was killed by the OOM killer" for name in killed)
        return "; ".join(texts)

    def _region(self, step: schema.RangeStep) -> tuple[Task, Region]:
        task = self._tasks[step.task]
        return task, task.regions[step.region]

    def _each_range(self, step: schema.RangeStep, operation: int, *arguments: int) -> str:
        task, region = self._region(step)
        for offset, length in address_ranges(step, region.size):
            task.command(operation, region.address + offset, length, *arguments)
        return ""

    def _map(self, step: schema.Map) -> str:
        task = self._tasks[step.task]
        region = task.new_region(step.region, step.size)
        policy = step.policy
        if step.node is not None:
            policy = schema.Policy(mode="bind", nodes=(step.node,))
        if policy is not None:
            mode, mask = policy_words(policy)
            task.command(Operation.MBIND, region.address, region.size, mode, mask)
        if step.thp != "default":
            task.command(Operation.MADVISE, region.address, region.size, _ADVICE[step.thp])
        return ""

    def _touch(self, step: schema.Touch) -> str:
        return self._each_range(step, Operation.TOUCH, 1 if step.write == "data" else 0)

    def _discard(self, step: schema.Discard) -> str:
        return self._each_range(step, Operation.MADVISE, system_calls.MADV_DONTNEED)

    def _unmap(self, step: schema.Unmap) -> str:
        return self._each_range(step, Operation.UNMAP)

    def _advise(self, step: schema.Advise) -> str:
        return self._each_range(step, Operation.MADVISE, _ADVICE[step.advice])

    def _lock(self, step: schema.Lock) -> str:
        return self._each_range(step, Operation.LOCK if step.locked else Operation.UNLOCK)

    def _move_pages(self, step: schema.MovePages) -> str:
        task, region = self._region(step)
        addresses = []
        with PagesOfTask(task.pid) as pages:
            for offset, length in address_ranges(step, region.size):
                addresses.extend(_movable(pages, region.address + offset, length))
        if not addresses:
            return "no page there"
        status = system_calls.move_pages(task.pid, addresses, step.node)
        failed = [code for code in status if code != step.node]
        if failed:
            names = sorted({errno.errorcode.get(-code, str(code)) for code in failed})
            return f"{len(failed)} of {len(status)} folios did not move ({', '.join(names)})"
        return ""

    def _fork(self, step: schema.Fork) -> str:
        self._tasks[step.child] = self._tasks[step.task].fork(step.child)
        return ""

    def _exit(self, step: schema.Exit) -> str:
        task = self._tasks[step.task]
        if not task.alive():
            return _NO_LONGER_THERE
        task.end()
        return ""

    def _move_task(self, step: schema.MoveTask) -> str:
        task = self._tasks[step.task]
        if not task.alive():
            return _NO_LONGER_THERE
        self._hierarchy.attach(step.cgroup, task.pid)
        return ""

    def _pressure(self, step: schema.Pressure) -> str:
        """Bound base pages, more than the node can ever give: only the OOM killer ends this."""
        task = self._tasks[step.task]
        size = read_node_meminfo(step.node)["MemTotal"]
        region = task.new_region(f"pressure on node {step.node}", size - size % HUGE_PAGE)
        del task.regions[f"pressure on node {step.node}"]
        mode, mask = policy_words(schema.Policy(mode="bind", nodes=(step.node,)))
        place = (region.address, region.size)
        task.command(Operation.MBIND, *place, mode, mask)
        task.command(Operation.MADVISE, *place, system_calls.MADV_NOHUGEPAGE)
        kills = read_vmstat().get("oom_kill", 0)
        try:
            task.command(Operation.TOUCH, *place, 1)
        except TaskDied:
            if read_vmstat().get("oom_kill", 0) == kills:
                return "ended by a signal, but not by the OOM killer"
            return ""
        return f"touched {region.size} bytes on node {step.node}, and nobody stopped it"

    def _reclaim(self, step: schema.Reclaim) -> str:
        if step.cgroup is not None:
            path = self._hierarchy.directory(step.cgroup) / "memory.reclaim"
        else:
            path = Path(f"/sys/devices/system/node/node{step.node}/reclaim")
        if not path.exists():
            raise NotOffered(f"this kernel has no file {path.name} there")
        try:
            path.write_text(str(int(step.size)), encoding="ascii")
        except BlockingIOError:
            return "less than that could be reclaimed (EAGAIN)"
        return ""

    def _set(self, step: schema.Set) -> str:
        if step.cgroup is not None:
            self._hierarchy.write(step.cgroup, step.file, str(step.value))
            return ""
        path = Path(os.path.normpath(THP / step.file))
        if not path.is_relative_to(THP) or not path.is_file():
            raise NotOffered(f"this kernel has no tunable {step.file}")
        self._tunables.set(path, step.value)
        return ""

    def _shrink(self, step: schema.Shrink) -> str:
        shrinker = find_deferred_split_shrinker()
        if shrinker is None:
            raise NotOffered(why_no_shrinker_debugfs())
        shrinker.scan(self._hierarchy.inode(step.cgroup), step.node, step.count)
        return ""

    def _rmdir(self, step: schema.Rmdir) -> str:
        self._hierarchy.rmdir(step.cgroup)
        return ""

    def _wait(self, step: schema.Wait) -> str:
        time.sleep(step.seconds)
        return ""

    def _observe(self, step: schema.Observe) -> str:
        seen = self._observer.observe(step.label, self._tasks.values())
        self.observations.append(without_figures(seen, self._undone) if self._undone else seen)
        return ""


def policy_words(policy: schema.Policy) -> tuple[int, int]:
    """A policy as mbind(2) takes it: the mode, and the mask of its nodes."""
    mask = 0
    for node in policy.nodes:
        mask |= 1 << node
    return system_calls.policy_mode(policy.mode), mask


def _movable(pages: PagesOfTask, address: int, length: int) -> list[int]:
    """One address for each folio that the range has present: enough to have it moved whole."""
    found: list[int] = []
    first_huge_page = address - address % HUGE_PAGE
    for start in range(first_huge_page, address + length, HUGE_PAGE):
        contents = pages.range_at(start)
        indexes = [index for _head, index in contents.whole]
        indexes.extend(index for index, _pfn in contents.base)
        places = (start + index * BASE_PAGE for index in sorted(indexes))
        found.extend(place for place in places if address <= place < address + length)
    return found
