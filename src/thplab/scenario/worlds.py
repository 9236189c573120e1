# SPDX-License-Identifier: GPL-2.0-only
"""The two worlds that a step acts on, as steps use them: the model, and a running kernel.

thplab.backends.model_world and thplab.agent.kernel_world implement them. A step file has both side by
side, so that a reader sees whether they do the same.
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
    """The step's task ended before the step, usually because the OOM killer killed it."""


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
        """Each huge-page-sized slot that the step acts on: its number, and a bit for each of its pages."""

    def cgroup(self, path: str) -> MemCgroup:
        """A cgroup that still exists."""

    def mempolicy(self, policy: Policy | None) -> Mempolicy | None:
        """The model's form of a policy. Raises NotOffered if the release lacks its mode."""

    def refuse(self, problem: str, remedy: str) -> ScenarioError:
        """The error for a step that is impossible by the scenario's own mistake."""

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
        """Make it call a function of the C library with numbers: madvise, munmap, mprotect, mlock ...

        Raises:
            OSError: the kernel refused.
        """

    def touch(self, address: int, length: int, value: int) -> None:
        """Make it write `value` to the first byte of each base page."""

    def mbind(self, address: int, length: int, policy: Policy) -> None:
        """mbind(2). Raises NotOffered if the kernel lacks the policy's mode."""

    def map_region(self, name: str, size: int) -> tuple[int, int]:
        """mmap(2) of private anonymous memory for a region: its address and length."""

    def map_nameless(self, size: int) -> tuple[int, int]:
        """mmap(2) of memory that no observation shows: its address and length."""

    def end(self) -> None:
        """Make it exit, and wait for it."""


class KernelWorld(Protocol):
    """A running kernel while a scenario runs on it. A step may raise TaskIsDead, NotOffered or OSError."""

    def task(self, name: str) -> KernelTask:
        """A living task. Raises TaskIsDead."""

    def ranges(self, step: RangeStep) -> list[tuple[int, int]]:
        """The address ranges that the step acts on, (address, length) in bytes, ascending."""

    def call_each(self, step: RangeStep, function: str, *arguments: int) -> str:
        """Make the step's task call a function for each of the ranges: address, length, arguments."""

    def fork(self, task: str, child: str) -> None:
        """fork(2) of a task; the child is called `child`."""

    def attach(self, cgroup: str, task: str) -> None:
        """Write a task to a cgroup's cgroup.procs."""

    def cgroup_file(self, cgroup: str, name: str) -> Path:
        """A file in a cgroup's directory."""

    def rmdir(self, cgroup: str) -> None:
        """Remove a cgroup."""

    def set_tunable(self, row: Tunable, value: Value) -> None:
        """Write a file below /sys/kernel/mm/transparent_hugepage; the agent restores it after the scenario."""

    def shrink(self, cgroup: str, node: int, count: int) -> None:
        """Write the scan file of the deferred split shrinker."""

    def move_pages(self, task: str, addresses: list[int], node: int) -> list[int]:
        """move_pages(2): for each address the node where the page is now, or a negative errno."""

    def folios(self, step: RangeStep) -> list[int]:
        """An address of each folio that is present in the step's ranges."""

    def node_size(self, node: int) -> int:
        """MemTotal of a node, in bytes."""

    def oom_kills(self) -> int:
        """The kernel's count of OOM kills since it was booted."""

    def observe(self, label: str) -> None:
        """Take an Observation."""
