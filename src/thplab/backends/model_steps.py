# SPDX-License-Identifier: GPL-2.0-only
"""Each step of the language, done to the model; the agent does the same to a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, PAGE_SIZE
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mempolicy import Mempolicy
from thplab.mm.mm_types import Task, Vma
from thplab.mm.page_counter import PAGE_COUNTER_MAX
from thplab.mm.shrinker_debug import shrinker_debugfs_scan
from thplab.observe.machine import observe_machine
from thplab.scenario import schema
from thplab.scenario.errors import ScenarioError
from thplab.scenario.extent import step_extent
from thplab.scenario.observation import Observation
from thplab.scenario.tunables import cgroup_value, tunable_value
from thplab.scenario.units import exact_size

__all__ = ["ModelSteps"]

_DEAD = "the task is dead"


class ModelSteps:
    """Performs the steps of one scenario on one machine.

    Args:
        scenario: whose cgroups and tasks are made at once.
        machine: the model.
        observations: where those that are taken go.
    """

    def __init__(
        self, scenario: schema.Scenario, machine: Machine, observations: list[Observation]
    ) -> None:
        self.scenario = scenario
        self.machine = machine
        self.observations = observations
        self.index = 0
        self.paths = ["/", *scenario.cgroups]
        self._cgroups: dict[str, MemCgroup] = {"/": machine.memcg.root}
        for path, declared in scenario.cgroups.items():
            self._cgroups[path] = machine.memcg.create(path)
            for file in ("max", "high", "low", "min"):
                value = getattr(declared, file)
                if value is not None:
                    self._limit(path, f"memory.{file}", value)
        for name, task in scenario.tasks.items():
            started = machine.start(name, self._cgroups[task.cgroup], task.oom_score_adj)
            started.policy = _policy(task.policy)
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

    def perform(self, index: int, step: schema.Step) -> str:
        """Do one step.

        Returns:
            What it did that an observation does not show, or "".

        Raises:
            ScenarioError: it cannot be done, and the scenario is to blame.
        """
        self.index = index
        killed_before = len(self.machine.oom.killed)
        text = self._by_type[type(step)](step)
        texts = [text] if text else []
        texts += [
            f"task {name} was killed by the OOM killer ({why})"
            for name, why in self.machine.oom.killed[killed_before:]
        ]
        return "; ".join(texts)

    def _refuse(self, problem: str, remedy: str) -> ScenarioError:
        return ScenarioError(problem, remedy, self.scenario.where(self.index))

    # Memory of a task

    def _map(self, step: schema.Map) -> str:
        task = self.machine.tasks.get(step.task)
        if task is None:
            return _DEAD
        policy = step.policy
        if step.node is not None:
            policy = schema.Policy(mode="bind", nodes=(step.node,))
        self.machine.mmap(task, step.region, step.size // int(PAGE_SIZE), _policy(policy), step.thp)
        return ""

    def _touch(self, step: schema.Touch) -> str:
        found = self._region(step)
        if found is None:
            return _DEAD
        task, vma = found
        zeros = step.write == "zeros"
        touch = self.machine.memory.touch
        for slot, mask in self._slots(step, vma):
            if not touch(task, vma, slot, mask, zeros):
                break
        return ""

    def _discard(self, step: schema.Discard) -> str:
        found = self._region(step)
        if found is None:
            return _DEAD
        dontneed = self.machine.madvise.dontneed
        for slot, mask in self._slots(step, found[1]):
            if not dontneed(found[1], slot, mask):
                return "refused: EINVAL (Invalid argument)"
        return ""

    def _unmap(self, step: schema.Unmap) -> str:
        found = self._region(step)
        if found is None:
            return _DEAD
        for slot, mask in self._slots(step, found[1]):
            self.machine.memory.unmap_part(found[1], slot, mask)
        return ""

    def _advise(self, step: schema.Advise) -> str:
        found = self._region(step)
        if found is None:
            return _DEAD
        task, vma = found
        if step.advice != "collapse":
            vma.thp = step.advice
            return ""
        results: dict[str, int] = {}
        for slot, mask in self._slots(step, vma):
            if mask == FULL_MASK:
                result = self.machine.khugepaged.collapse(task, vma, slot, False)
                results[result] = results.get(result, 0) + 1
        fine = ("succeed", "page_already_mapped_by_pmd")
        return ", ".join(f"{times}x {why}" for why, times in results.items() if why not in fine)

    def _lock(self, step: schema.Lock) -> str:
        found = self._region(step)
        if found is None:
            return _DEAD
        task, vma = found
        if step.locked:
            self.machine.mlock.do_mlock(task, vma)
        else:
            self.machine.mlock.munlock(vma)
        return ""

    def _move_pages(self, step: schema.MovePages) -> str:
        found = self._region(step)
        if found is None:
            return _DEAD
        for slot, mask in self._slots(step, found[1]):
            self.machine.migration.move_slot(found[1], slot, mask, step.node)
        return ""

    def _region(self, step: schema.RangeStep) -> tuple[Task, Vma] | None:
        task = self.machine.tasks.get(step.task)
        if task is None:
            return None
        vma = task.mm.vmas.get(step.region)
        if vma is None:
            raise self._refuse(
                f"task {step.task} has no region {step.region}", "map it in an earlier step"
            )
        return task, vma

    def _slots(self, step: schema.RangeStep, vma: Vma) -> Iterator[tuple[int, int]]:
        """Each huge-page-sized slot that the step is about, with the pages in it, a bit each."""
        extent = step_extent(step, vma.nr_pages * int(PAGE_SIZE), self.scenario.where(self.index))
        per_slot = int(HPAGE_PMD_NR)
        for slot in range(extent.first // per_slot, (extent.end + per_slot - 1) // per_slot):
            start = slot * per_slot
            mask = extent.mask
            if extent.first > start or extent.end < start + per_slot:
                low = max(extent.first - start, 0)
                high = min(extent.end - start, per_slot)
                mask &= (1 << high) - (1 << low)
            if mask:
                yield slot, mask

    # Tasks

    def _fork(self, step: schema.Fork) -> str:
        task = self.machine.tasks.get(step.task)
        if task is None:
            return _DEAD
        self.machine.fork(task, step.child)
        return ""

    def _exit(self, step: schema.Exit) -> str:
        task = self.machine.tasks.get(step.task)
        if task is None:
            return _DEAD
        self.machine.exit(task)
        return ""

    def _move_task(self, step: schema.MoveTask) -> str:
        task = self.machine.tasks.get(step.task)
        if task is None:
            return _DEAD
        self.machine.move_task(task, self._cgroup(step.cgroup))
        return ""

    def _pressure(self, step: schema.Pressure) -> str:
        """Base pages bound to the node, more than it has: only the OOM killer ends this."""
        task = self.machine.tasks.get(step.task)
        if task is None:
            return _DEAD
        node = self.machine.pages.nodes[step.node]
        name = f"pressure on node {step.node}"
        policy = Mempolicy("bind", [step.node])
        vma = self.machine.mmap(task, name, node.managed, policy, "nohugepage")
        touch = self.machine.memory.touch
        for slot in range(len(vma.slots)):
            if not touch(task, vma, slot, vma.slot_mask(slot), False):
                break
        if not task.mm.killed:
            self.machine.memory.unmap_vma(vma)
            return f"touched all of node {step.node}, and nobody stopped it"
        return ""

    # Cgroups and the machine

    def _cgroup(self, path: str) -> MemCgroup:
        memcg = self.machine.memcg.by_path.get(path)
        if memcg is None:
            raise self._refuse(f"cgroup {path} is gone", "use it before it is removed")
        return memcg

    def _reclaim(self, step: schema.Reclaim) -> str:
        nr_pages = step.size // int(PAGE_SIZE)
        vmscan = self.machine.vmscan
        if step.cgroup is not None:
            done = vmscan.memory_reclaim(self._cgroup(step.cgroup), nr_pages)
        else:
            assert step.node is not None, "the loader saw to it"
            done = vmscan.node_reclaim(step.node, nr_pages)
        return "" if done else "less than that could be reclaimed (EAGAIN)"

    def _set(self, step: schema.Set) -> str:
        if step.cgroup is not None:
            self._cgroup(step.cgroup)
            self._limit(step.cgroup, step.file, cgroup_value(step.value))
            return ""
        value = tunable_value(step.file, step.value)
        thp = self.machine.huge_memory.thp
        khugepaged = self.machine.khugepaged
        if step.file in ("enabled", "defrag"):
            setattr(thp, step.file, value)
        elif step.file == "shrink_underused":
            thp.shrink_underused = bool(value)
        else:
            setattr(khugepaged, step.file.rpartition("/")[2], value)
        return ""

    def _limit(self, path: str, file: str, value: int | None) -> None:
        counter = self._cgroups[path].memory
        pages = PAGE_COUNTER_MAX if value is None else value // int(PAGE_SIZE)
        used = counter.usage
        if file == "memory.max" and pages < used:
            raise self._refuse(
                f"memory.max of {path} would be {exact_size(value or 0)}, below the "
                f"{exact_size(used * int(PAGE_SIZE))} in use",
                "set the limit before the memory is touched, or free some first",
            )
        setattr(counter, file.rpartition(".")[2], pages)

    def _shrink(self, step: schema.Shrink) -> str:
        queue = self.machine.deferred_split
        memcg = self._cgroup(step.cgroup)
        try:
            shrinker_debugfs_scan(self.machine, queue, memcg, step.node, step.count)
        except ValueError as error:
            return f"{error} (EINVAL)"
        return ""

    def _rmdir(self, step: schema.Rmdir) -> str:
        memcg = self._cgroup(step.cgroup)
        living = [
            child.path for child in memcg.children if self.machine.memcg.by_path.get(child.path)
        ]
        if memcg.nr_tasks or living:
            what = f"the child {living[0]}" if living else f"{memcg.nr_tasks} tasks"
            raise self._refuse(f"cgroup {step.cgroup} has {what} left", "move or end them first")
        self.machine.memcg.rmdir(memcg)
        return ""

    def _wait(self, step: schema.Wait) -> str:
        self.machine.khugepaged.elapse(step.seconds * 1000)
        return ""

    def _observe(self, step: schema.Observe) -> str:
        self.observations.append(observe_machine(self.machine, step.label, self.paths))
        return ""


def _policy(policy: schema.Policy | None) -> Mempolicy | None:
    if policy is None or policy.mode == "local":
        return None
    return Mempolicy(policy.mode, list(policy.nodes))
