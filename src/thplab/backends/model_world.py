# SPDX-License-Identifier: GPL-2.0-only
"""The model as the world that steps act on."""

from __future__ import annotations

import operator
from collections.abc import Iterator

from thplab.mm.geometry import PAGE_SIZE
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mempolicy import Mempolicy
from thplab.mm.mm_types import Task, Vma
from thplab.mm.page_counter import PAGE_COUNTER_MAX
from thplab.mm.vmstat import Counter, counters
from thplab.observe.machine import observe_machine
from thplab.releases.release import Release
from thplab.scenario.errors import ScenarioError
from thplab.scenario.host import Task as DeclaredTask
from thplab.scenario.observation import FIGURES, Observation, StepOutcome, without_figures
from thplab.scenario.policies import POLICY_SINCE, Policy, policy_name
from thplab.scenario.rules import Figure
from thplab.scenario.step import RangeStep, Step
from thplab.scenario.tunables import CgroupSettings, Tunable, Value
from thplab.scenario.units import Size
from thplab.scenario.worlds import NotOffered, TaskIsDead

__all__ = ["ModelWorld"]


class ModelWorld:
    """One machine on which steps are carried out; a thplab.scenario.worlds.ModelWorld.

    Args:
        machine: the model.
        release: the release that it stands for.

    Attributes:
        where: the place of the current step, for messages.
        observations: those taken so far.
    """

    def __init__(self, machine: Machine, release: Release) -> None:
        self.machine = machine
        self.release = release
        self.where = ""
        self.observations: list[Observation] = []
        self._undone = ""
        self._paths = ["/"]

    def add_cgroup(self, path: str, settings: CgroupSettings) -> None:
        """mkdir(2), and the limits."""
        self.machine.memcg.create(path)
        self._paths.append(path)
        for row, value in settings.chosen():
            self.set_limit(path, row, value)

    def add_task(self, name: str, declared: DeclaredTask) -> None:
        """A process starts."""
        task = self.machine.start(name, self.cgroup(declared.cgroup), declared.oom_score_adj)
        try:
            task.policy = self.mempolicy(declared.policy)
        except NotOffered as lack:
            self._undone = self._undone or f"task {name} did not get its policy: {lack}"

    def tick(self) -> None:
        """What happens beside the steps: the CPUs fold their counters, and each process needs a page."""
        self.machine.pages.refresh_cpu_vm_stats()
        for task in self.machine.tasks.values():
            self.machine.mempolicy.alloc_own(task)

    def perform(self, step: Step, where: str, index: int = 0) -> StepOutcome | None:
        """Carry out one step.

        Returns:
            What it did that an observation does not show.

        Raises:
            ScenarioError: it is impossible, by the scenario's own mistake.
        """
        self.where = where
        killed_before = len(self.machine.oom.killed)
        kind = str(step.__struct_config__.tag)
        done = True
        try:
            for what in step.needs():
                self._must_have(what, step.interfaces[what])
            text = step.on_model(self)
            self.machine.khugepaged.settle()
        except TaskIsDead:
            text = "the task is dead"
        except NotOffered as lack:
            done, text = False, f"not done: {lack}"
            self._undone = self._undone or f"an earlier step was not done: {lack}"
        texts = [text] if text else []
        texts += [
            f"task {name} was killed by the OOM killer ({why})"
            for name, why in self.machine.oom.killed[killed_before:]
        ]
        if not texts:
            return None
        return StepOutcome(step=index, do=kind, text="; ".join(texts), done=done)

    def _forget(self, seen: Observation, section: str, counter: Counter) -> None:
        """Take out a counter that the release does not have."""
        tables = [seen.vmstat] if section == "vmstat" else list(seen.mthp.values())
        for table in tables:
            table[counter.name] = None
        seen.missing[f"{section}.{counter.name}"] = (
            f"Linux {self.release.name} does not count this; {counter.since} brought it"
        )

    def _forget_of_cgroups(self, seen: Observation, name: str, figure: Figure) -> None:
        """Take out a figure of cgroups that the release does not have."""
        owner, _, attribute = name.rpartition(".")
        for memory in seen.memory.values():
            setattr(operator.attrgetter(owner)(memory) if owner else memory, attribute, None)
        seen.missing[f"cgroups.{name}"] = (
            f"Linux {self.release.name} does not show this; {figure.since} brought it"
        )

    def _must_have(self, what: str, since: str) -> None:
        if not self.release.has(since):
            raise NotOffered(f"Linux {self.release.name} lacks {what}; {since} brought it")

    # The methods of thplab.scenario.worlds.ModelWorld.

    def task(self, name: str) -> Task:
        """A living task."""
        task = self.machine.tasks.get(name)
        if task is None:
            raise TaskIsDead(name)
        return task

    def region(self, step: RangeStep) -> tuple[Task, Vma]:
        """The step's task and region."""
        task = self.task(step.task)
        vma = task.mm.vmas.get(step.region)
        if vma is None:
            raise self.refuse(
                f"task {step.task} has no region {step.region}", "map it in an earlier step"
            )
        return task, vma

    def slots(self, step: RangeStep) -> Iterator[tuple[int, int]]:
        """Each slot that the step acts on, with its pages."""
        _task, vma = self.region(step)
        return step.extent(vma.nr_pages * PAGE_SIZE, self.where).slots()

    def cgroup(self, path: str) -> MemCgroup:
        """A cgroup that still exists."""
        memcg = self.machine.memcg.by_path.get(path)
        if memcg is None:
            raise self.refuse(f"cgroup {path} was removed", "use it before that step")
        return memcg

    def mempolicy(self, policy: Policy | None) -> Mempolicy | None:
        """The model's form of a policy."""
        if policy is None:
            return None
        self._must_have(policy_name(policy), POLICY_SINCE.get(policy.mode, ""))
        return Mempolicy(policy.mode, list(policy.nodes))

    def refuse(self, problem: str, remedy: str) -> ScenarioError:
        """An error at this step."""
        return ScenarioError(problem, remedy, self.where)

    def set_tunable(self, row: Tunable, value: Value) -> None:
        """Store it where the row says that the model keeps it."""
        self._must_have(row.file, row.since)
        owner, _, name = row.model.rpartition(".")
        setattr(operator.attrgetter(owner)(self.machine), name, value)

    def set_limit(self, path: str, row: Tunable, value: Value) -> None:
        """Store it, a size in pages, or have the model do what the kernel does on a write."""
        memcg = self.cgroup(path)
        held: object = value
        if value == "max":
            held = PAGE_COUNTER_MAX
        elif isinstance(value, Size):
            held = value // PAGE_SIZE
        if row.write:
            getattr(self.machine.charges, row.write)(memcg, held)
            return
        owner, _, name = row.model.rpartition(".")
        setattr(operator.attrgetter(owner)(memcg) if owner else memcg, name, held)

    def observe(self, label: str) -> None:
        """Read the model, once the CPUs' counters are folded, as the agent has them folded (vm.stat_refresh)."""
        self.machine.pages.refresh_cpu_vm_stats()
        seen = observe_machine(self.machine, label, self._paths)
        for section, counter in counters():
            if not self.release.has(counter.since):
                self._forget(seen, section, counter)
        for name, figure in FIGURES["cgroups"].items():
            if not self.release.has(figure.since):
                self._forget_of_cgroups(seen, name, figure)
        self.observations.append(without_figures(seen, self._undone) if self._undone else seen)
