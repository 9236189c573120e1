# SPDX-License-Identifier: GPL-2.0-only
"""What the steps of a random scenario draw from."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, TypeVar

from thplab.mm.geometry import HPAGE_PMD_NR, PAGE_SIZE
from thplab.scenario.declared import Declared
from thplab.scenario.parts import Part
from thplab.scenario.policies import Mode, Policy
from thplab.scenario.units import Size

__all__ = ["Draw"]

_T = TypeVar("_T")

_PARTS = [
    Part.parse(f"{part} of each huge page")
    for part in (
        "upper half",
        "lower half",
        "first page",
        "all but the first page",
        "page 7",
        "pages 16-31",
        "pages 200-511",
    )
]


class Draw:
    """The chances and choices that a step has when fuzz draws it.

    Args:
        random: the series; no secret depends on it.
        declared: what exists at this point.
        never_used: a cgroup that never has a task.
        series: the name of the series; a step may be drawn differently in each.

    Attributes:
        apart: tasks that only the series itself lets act.
        bound: nodes that are the only one of a task's policy "bind".
        full: nodes that the series has filled; a policy does not bind to them, because a task that then
            finds no memory is killed, or not, by what the kernel itself can free.
    """

    def __init__(
        self, random: Random, declared: Declared, never_used: str, series: str = "steps"
    ) -> None:
        self.random = random
        self.declared = declared
        self.never_used = never_used
        self.series = series
        self.apart: set[str] = set()
        self.bound: set[int] = set()
        self.full: set[int] = set()
        self._born = 0

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def choice(self, choices: Sequence[_T]) -> _T:
        """One of them; an entry that occurs twice is twice as likely."""
        return self.random.choice(choices)

    def new_name(self, prefix: str) -> str:
        """A name that nothing has yet."""
        self._born += 1
        return f"{prefix}{self._born}"

    def task(self) -> str | None:
        """A living task, if there is one."""
        tasks = [task for task in self.declared.tasks if task not in self.apart]
        return self.choice(tasks) if tasks else None

    def region(self) -> tuple[str, str] | None:
        """A living task and one of its regions, if there is one."""
        regions = [
            (task, region)
            for task, living in self.declared.tasks.items()
            if task not in self.apart
            for region in living.regions
        ]
        return self.choice(regions) if regions else None

    def range(self) -> dict[str, Any] | None:
        """A region and some of it: the fields of a RangeStep."""
        found = self.region()
        if found is None:
            return None
        task, region = found
        fields: dict[str, Any] = {"task": task, "region": region}
        if self.chance(0.6):
            fields["part"] = self.part()
        if self.chance(0.5):
            return fields
        pages = self.declared.region(task, region).size // PAGE_SIZE
        unit = HPAGE_PMD_NR if self.chance(0.5) and pages > HPAGE_PMD_NR else 1
        first = self.random.randrange(0, pages, unit)
        length = self.random.randint(1, max(1, (pages - first) // unit)) * unit
        fields["offset"] = Size(first * PAGE_SIZE)
        fields["length"] = Size(min(length, pages - first) * PAGE_SIZE)
        return fields

    def part(self) -> Part:
        """Less than all of each huge page."""
        return self.choice(_PARTS)

    def node(self) -> int:
        """A node of the host."""
        return self.random.randrange(len(self.declared.host.nodes))

    def policy(self) -> Policy:
        """A policy that each release of these days has, for one node or for several."""
        modes: tuple[Mode, ...] = ("bind", "bind", "preferred", "preferred_many", "interleave")
        mode = self.choice(modes)
        nodes = range(len(self.declared.host.nodes))
        count = 1 if mode == "preferred" or self.chance(0.4) else self.random.choice(nodes) + 1
        chosen = tuple(self.random.sample(nodes, count))
        if mode == "bind" and not self.full.isdisjoint(chosen):
            mode = "preferred_many"
        return Policy(mode=mode, nodes=chosen)

    def limit(self) -> Size:
        """A limit that a few huge pages reach, and that is no multiple of their size."""
        return Size((2 * self.random.randint(1, 6) + 1) << 20)

    def cgroup(self) -> str:
        """A cgroup below the root."""
        return self.choice([path for path in self.declared.cgroups if path != "/"])

    def home(self) -> str:
        """A cgroup below the root, more often one that has tasks."""
        homes = [task.cgroup for task in self.declared.tasks.values() if task.cgroup != "/"]
        return self.choice([*homes, *homes, self.cgroup()])

    def leaf(self) -> str:
        """A cgroup that can hold tasks."""
        leaves = [
            path
            for path, children in self.declared.children.items()
            if not children and path in self.declared.cgroups and path != self.never_used
        ]
        return self.choice(leaves or ["/"])
