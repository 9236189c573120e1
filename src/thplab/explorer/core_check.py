# SPDX-License-Identifier: GPL-2.0-only
"""What a check and a case look like to the engine.

A *check* watches one execution and raises when a rule is broken. A *world* is what one execution
works on: the memory, the programs of its CPUs and interrupt handlers, and what must hold at the end.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import Cpu
from thplab.cpu.list_head import ListHead

__all__ = ["Case", "Check", "CheckFailed", "World"]


class CheckFailed(KernelBug):
    """A check's report. `check` is its name."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(text)
        self.check = check


@mypyc_attr(allow_interpreted_subclasses=True)
class World:
    """The memory of one execution, and what runs over it. A case builds a new one each time."""

    def programs(self) -> list[Callable[[], None]]:
        """One function for each CPU, in the order of their numbers, then one for each handler."""
        raise NotImplementedError

    def quiescent(self) -> None:
        """All programs have ended: raise a KernelBug if an invariant does not hold."""

    def state(self) -> object:
        """The final state as a value that can be hashed; None if the case has no use for it."""
        return None

    def shared_lists(self) -> list[ListHead] | None:
        """The lists of which the lock is not an attribute of the head; None: any may be one."""
        return None

    def teardown(self) -> None:
        """Undo reference cycles, so that the memory of this execution can go."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Check:
    """A rule that is watched over one execution after another. Raises CheckFailed.

    `world` is that of the execution under way. The masks say which operations it wants to hear of, a bit for each code of ops.py.
    """

    name: str = ""

    def __init__(self) -> None:
        self.cpus: list[Cpu] = []
        self.world: World | None = None

    def point_mask(self) -> i64:
        """The operations whose scheduling point matters."""
        return 0

    def done_mask(self) -> i64:
        """The operations whose effect matters."""
        return 0

    def begin(self) -> None:
        """An execution begins."""

    def point(self, lane: i64, op: i64, obj: object) -> None:
        """The lane is about to make this step."""

    def done(self, lane: i64, op: i64, obj: object, arg: object) -> None:
        """The lane has done this (see ops.py for `arg`)."""

    def end(self, world: World) -> None:
        """All programs have ended."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Case:
    """What is searched: builds a world for each execution, always the same one.

    Attributes:
        name: as on the command line.
        design_name: the design as --design names it; "" where the case has its own, None where a class
            without a name was given.
        cpus: how many CPUs its world has programs for.
        handlers: the number of the CPU of each interrupt handler.
        max_steps: an execution with more steps is a livelock.
    """

    def __init__(self, name: str, cpus: i64) -> None:
        self.name: str = name
        self.design_name: str | None = ""
        self.cpus: i64 = cpus
        self.handlers: list[int] = []
        self.max_steps: i64 = 2000

    def build(self) -> World:
        """A world at the beginning."""
        raise NotImplementedError
