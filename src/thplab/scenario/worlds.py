# SPDX-License-Identifier: GPL-2.0-only
"""The two worlds that a step acts on, as far as steps need them: the model, and a running kernel.

thplab.backends.model_world and thplab.agent.kernel_world are these worlds. A step file sees both side by
side, so that a reader can tell whether they do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from thplab.scenario.errors import ScenarioError
from thplab.scenario.policies import Policy

if TYPE_CHECKING:
    from thplab.mm.machine import Machine
    from thplab.mm.memcontrol import MemCgroup
    from thplab.mm.mempolicy import Mempolicy
    from thplab.mm.mm_types import Task, Vma
    from thplab.scenario.step import RangeStep
    from thplab.scenario.tunables import Tunable, Value

__all__ = ["KernelTask", "KernelWorld", "ModelWorld", "NotOffered", "TaskIsDead"]


class TaskIsDead(Exception):
    """The step's task has ended before the step, by the OOM killer's hand as a rule."""


class NotOffered(Exception):
    """This kernel, or this release, has no interface for the step; the message says what is missing."""


class ModelWorld(Protocol):
    """The model while a scenario runs on it.

    A step may raise TaskIsDead, NotOffered, or what :meth:`refuse` returns.
    """

    machine: Machine

    def task(self, name: str) -> Task:
        """A living task. Raises TaskIsDead."""

    def region(self, step: RangeStep) -> tuple[Task, Vma]:
        """The step's task and region. Raises TaskIsDead."""

    def slots(self, step: RangeStep) -> Iterator[tuple[int, int]]:
        """Each huge-page-sized slot of the region that the step is about, with its pages, a bit each."""

    def cgroup(self, path: str) -> MemCgroup:
        """A cgroup that is still there."""

    def mempolicy(self, policy: Policy | None) -> Mempolicy | None:
        """A policy as the model has it; None is local."""

    def refuse(self, problem: str, remedy: str) -> ScenarioError:
        """The error of a step that cannot be carried out, and the scenario is to blame."""

    def set_tunable(self, row: Tunable, value: Value) -> None:
        """Write a file below /sys/kernel/mm/transparent_hugepage. Raises NotOffered."""

    def set_limit(self, path: str, row: Tunable, value: Value) -> None:
        """Write a file of a cgroup."""

    def observe(self, label: str) -> None:
        """Take an Observation."""


class KernelTask(Protocol):
    """A process that the agent commands."""

    pid: int

    def call(self, function: str, *arguments: int) -> int:
        """Have it call a function of the C library: madvise, munmap, mprotect, mlock ... with numbers.

        Raises:
            OSError: the kernel refused.
        """

    def touch(self, address: int, length: int, value: int) -> None:
        """Have it write `value` to the first byte of each base page."""

    def mbind(self, address: int, length: int, policy: Policy) -> None:
        """mbind(2)."""

    def map_region(self, name: str, size: int) -> tuple[int, int]:
        """mmap(2) of private anonymous memory for a region: its address and length."""

    def map_nameless(self, size: int) -> tuple[int, int]:
        """mmap(2) of memory that no observation shows: its address and length."""

    def end(self) -> None:
        """Have it end by itself, and wait for it."""


class KernelWorld(Protocol):
    """A running kernel while a scenario runs on it. A step may raise TaskIsDead, NotOffered or OSError."""

    def task(self, name: str) -> KernelTask:
        """A living task. Raises TaskIsDead."""

    def ranges(self, step: RangeStep) -> list[tuple[int, int]]:
        """The address ranges that the step is about, (address, length) in bytes, ascending."""

    def call_each(self, step: RangeStep, function: str, *arguments: int) -> str:
        """Have the step's task call a function for each of the ranges: address, length, arguments."""

    def fork(self, task: str, child: str) -> None:
        """fork(2) of a task; the child gets a name."""

    def attach(self, cgroup: str, task: str) -> None:
        """Write a task to a cgroup's cgroup.procs."""

    def cgroup_file(self, cgroup: str, name: str) -> Path:
        """A file in a cgroup's directory."""

    def rmdir(self, cgroup: str) -> None:
        """Remove a cgroup."""

    def set_tunable(self, row: Tunable, value: Value) -> None:
        """Write a file below /sys/kernel/mm/transparent_hugepage; it is put back after the scenario."""

    def shrink(self, cgroup: str, node: int, count: int) -> None:
        """Write the scan file of the deferred split shrinker."""

    def move_pages(self, task: str, addresses: list[int], node: int) -> list[int]:
        """move_pages(2): for each address the node where the page is now, or a negative errno."""

    def folios(self, step: RangeStep) -> list[int]:
        """One address for each folio that the step's ranges have present."""

    def node_size(self, node: int) -> int:
        """MemTotal of a node, in bytes."""

    def oom_kills(self) -> int:
        """The kernel's count of OOM kills since it was booted."""

    def observe(self, label: str) -> None:
        """Take an Observation."""
