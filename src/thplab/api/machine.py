# SPDX-License-Identifier: GPL-2.0-only
"""A machine of the model for interactive use: each step of the language is a method.

with thplab.Machine(nodes=["1G", "1G"], release="7.3") as m:
    heap = m.task("worker", cgroup="/job").mmap("heap", "16M", node=1)
    heap.touch()
    heap.discard("upper half of each huge page")
    m.observe()["cgroups./job[1].queue"]        # 8

The methods come from the step files, so a new step needs nothing here. Steps on a region are methods of a
Region, steps on a task of a Task, the others of the Machine. They take the values of a scenario file, and
refuse what the loader would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from thplab import designs
from thplab.api.results import Seen
from thplab.backends.model import build_machine
from thplab.backends.model_world import ModelWorld
from thplab.cpu.errors import KernelBug
from thplab.errors import InputError
from thplab.releases.named import as_release
from thplab.releases.release import Release
from thplab.scenario.declared import Declared
from thplab.scenario.decode import make_step, make_struct
from thplab.scenario.errors import ScenarioError
from thplab.scenario.host import Host, check_host
from thplab.scenario.host import Task as DeclaredTask
from thplab.scenario.naming import check_cgroup_path, check_name, meant, quoted
from thplab.scenario.step import RangeStep, Step
from thplab.scenario.steps import STEPS
from thplab.scenario.tunables import CgroupSettings

__all__ = ["Machine", "Region", "Task"]


def _tags(own: Callable[[type[Step]], bool]) -> list[str]:
    return [tag for tag, kind in STEPS.items() if own(kind)]


_OF_REGION = _tags(lambda kind: issubclass(kind, RangeStep))
_OF_TASK = _tags(lambda kind: "task" in kind.__struct_fields__ and not issubclass(kind, RangeStep))
_OF_MACHINE = _tags(lambda kind: "task" not in kind.__struct_fields__)


class Machine:
    """A host with its kernel, empty at first.

    Args:
        nodes: the memory of each, "1G".
        release: the release that it stands for, by name; by default the newest.
        design: a design of the queue instead of the release's: a name, "file.py:Class", or a class.
        host: other keys of `[host]` as in a scenario file: distances, memcg, thp.

    Attributes:
        model: the machine of the model itself (thplab.mm.machine.Machine), for a look inside.

    Raises:
        ScenarioError, InputError, DesignError: the message says what would be right.
    """

    def __init__(
        self,
        nodes: Sequence[str] = ("1G", "1G"),
        release: str | Release = "",
        design: designs.Design = "",
        **host: object,
    ) -> None:
        stands_for = as_release(release, design)
        declared_host = make_struct({"nodes": list(nodes), **host}, Host, "host")
        check_host(declared_host)
        self._declared = Declared(declared_host)
        queue = designs.load(design or stands_for.design)
        self.model = build_machine(declared_host, queue, stands_for)
        self._world = ModelWorld(self.model, stands_for)
        self._performed = 0
        self._bugs: list[str] = []

    def __repr__(self) -> str:
        nodes = [size.written() for size in self._declared.host.nodes]
        release = self._world.release
        return f"Machine(nodes={nodes!r}, release={release.name!r}, design={release.design!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the model's memory. A `with` statement does so at its end."""
        self.model.teardown()

    @property
    def warnings(self) -> list[str]:
        """The complaints of the kernel so far, each text once."""
        return [*self.model.log, *self._bugs]

    def cgroup(self, path: str, settings: Mapping[str, object] | None = None) -> str:
        """Make a cgroup, and its missing parents.

        Args:
            path: "/jobs/one".
            settings: its files: {"memory.max": "1G"}.

        Returns:
            The path.
        """
        where = f"cgroup {quoted(path)}"
        check_cgroup_path(path, where)
        if path in self._declared.cgroups:
            raise ScenarioError("the cgroup exists already", "use the set() method", where)
        parent = path.rpartition("/")[0]
        if parent and parent not in self._declared.cgroups:
            self.cgroup(parent)
        limits = make_struct(dict(settings or {}), CgroupSettings, where)
        with self.model.entered():
            self._world.add_cgroup(path, limits)
        self._declared.add_cgroup(path)
        return path

    def task(
        self,
        name: str,
        cgroup: str = "/",
        oom_score_adj: int = 0,
        policy: Mapping[str, object] | None = None,
    ) -> Task:
        """Start a process; make its cgroup if it does not exist."""
        where = f"task {quoted(name)}"
        check_name(name, "task", where)
        if name in self._declared.tasks or name in self._declared.ended:
            raise ScenarioError("there is a task of this name", "give each its own name", where)
        fields: dict[str, object] = {"cgroup": cgroup, "oom_score_adj": oom_score_adj}
        if policy is not None:
            fields["policy"] = dict(policy)
        declared = make_struct(fields, DeclaredTask, where)
        if cgroup not in self._declared.cgroups:
            self.cgroup(cgroup)
        self._declared.where = where
        self._declared.add_task(name, declared)
        with self.model.entered():
            self._world.add_task(name, declared)
        return Task(self, name)

    def observe(self, label: str = "") -> Seen:
        """Take an observation, whose figures have the paths that claims use."""
        label = label or f"observation-{len(self._declared.observations) + 1}"
        self.step("observe", label=label)
        return Seen(label, self._world.observations[-1])

    def step(self, do: str, **fields: object) -> str:
        """Carry out one step of the language.

        Returns:
            What it did that an observation does not show, or "".

        Raises:
            ScenarioError: it is impossible, and nothing has changed.
            KernelBug: a kernel would have stopped here.
        """
        step = make_step(do, **fields)
        self._performed += 1
        where = f"step {self._performed} ({do})"
        self._declared.where = where
        step.check(self._declared)
        try:
            with self.model.entered():
                outcome = self._world.perform(step, where)
        except KernelBug as bug:
            self._bugs.append(f"{where}: {bug}")
            raise
        return "" if outcome is None else outcome.text

    def __getattr__(self, name: str) -> Callable[..., str]:
        return _method(self, name, _OF_MACHINE, {})

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_OF_MACHINE})


class Task:
    """A process of a machine.

    Attributes:
        name: its name in figures: "regions.worker.heap".
    """

    def __init__(self, machine: Machine, name: str) -> None:
        self._machine = machine
        self.name = name

    def mmap(self, region: str, size: str, **fields: object) -> Region:
        """The step `map`: private anonymous memory, not touched yet. It takes `node`, `policy` and `thp`."""
        self._machine.step("map", task=self.name, region=region, size=size, **fields)
        return Region(self._machine, self.name, region)

    def fork(self, child: str) -> Task:
        """The step `fork`: the child has the same regions."""
        self._machine.step("fork", task=self.name, child=child)
        return Task(self._machine, child)

    def region(self, name: str) -> Region:
        """One of its regions by name, also one that a fork copied from its parent."""
        self._machine._declared.where = f"task {quoted(self.name)}"
        self._machine._declared.region(self.name, name)
        return Region(self._machine, self.name, name)

    def __getattr__(self, name: str) -> Callable[..., str]:
        return _method(self._machine, name, _OF_TASK, {"task": self.name})

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_OF_TASK})

    def __repr__(self) -> str:
        return f"Task({self.name!r})"


class Region:
    """A region of a task's memory. The first argument of its methods may be the part."""

    def __init__(self, machine: Machine, task: str, name: str) -> None:
        self._machine = machine
        self.task = task
        self.name = name

    def __getattr__(self, name: str) -> Callable[..., str]:
        return _method(self._machine, name, _OF_REGION, {"task": self.task, "region": self.name})

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_OF_REGION})

    def __repr__(self) -> str:
        return f"Region({self.task!r}, {self.name!r})"


def _method(
    machine: Machine, name: str, tags: Sequence[str], fixed: dict[str, object]
) -> Callable[..., str]:
    """The step of this name as a method, with what is known of it filled in."""
    if name not in tags or name.startswith("_"):
        raise AttributeError(f"there is no step {quoted(name)} here; {meant(name, tags, 'steps')}")

    def step(*positional: object, **fields: object) -> str:
        given = dict(zip(_positional(name), positional, strict=False))
        if len(positional) > len(given):
            raise InputError(
                f"{name}: give its fields by name: {', '.join(STEPS[name].__struct_fields__)}"
            )
        return machine.step(name, **fixed, **given, **fields)

    step.__name__ = name
    step.__doc__ = STEPS[name].__doc__
    return step


def _positional(name: str) -> tuple[str, ...]:
    """The fields that are positional arguments of a step's method."""
    return ("part",) if name in _OF_REGION else ()
