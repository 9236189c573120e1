# SPDX-License-Identifier: GPL-2.0-only
"""Random scenarios whose every figure is exact on a real kernel.

Only steps whose outcome the steps alone decide: faults, discards, unmaps, mlock, fork, exit, moves between
cgroups, rmdir, the shrinker's own file, tunables of huge pages, limits far away, and memory.reclaim of
a cgroup that never had memory. No node ever runs short, so nothing is reclaimed by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

import msgspec

from thplab.scenario import schema
from thplab.scenario.check import check
from thplab.scenario.errors import ScenarioError
from thplab.scenario.parts import HPAGE_PMD_SIZE, PAGE_SIZE
from thplab.scenario.schema import Scenario, Size

__all__ = ["random_scenario"]

_NODES = 2
_NODE_SIZE = Size(1 << 30)
_CGROUPS = ("/a", "/b", "/c", "/c/d")
_LEAVES = ("/a", "/b", "/c/d")
_NEVER_USED = "/idle"
_TASKS = ("one", "two")
_MOST_STEPS = 18
_MOST_HUGE_PAGES = 6
_PARTS = (
    "upper half of each huge page",
    "lower half of each huge page",
    "first page of each huge page",
    "all but the first page of each huge page",
    "page 7 of each huge page",
    "pages 16-31 of each huge page",
    "pages 200-511 of each huge page",
)


def random_scenario(seed: int, number: int) -> Scenario:
    """The scenario of this seed and number: always the same one.

    Args:
        seed: of the series.
        number: its place in it, from 0.
    """
    random = Random(f"{seed}/{number}")  # noqa: S311 -- nothing is kept secret by it
    return _Author(random, f"fuzz-{seed}-{number}").scenario()


class _Author:
    """Writes one scenario, step by step; a step that could not be carried out is thought over again."""

    def __init__(self, random: Random, name: str) -> None:
        self._random = random
        self._cgroups = {path: schema.Cgroup() for path in (*_CGROUPS, _NEVER_USED)}
        self._cgroups["/b"] = schema.Cgroup(max=Size(1 << 30))
        self._tasks = {task: self._task() for task in _TASKS}
        self._regions: list[tuple[str, str, int]] = []
        self._live = list(_TASKS)
        self._born = 0
        self._steps: list[schema.AnyStep] = []
        self._draft = Scenario(
            name=name,
            summary="written by thplab fuzz",
            host=schema.Host(nodes=(_NODE_SIZE,) * _NODES, thp=self._thp()),
            cgroups=self._cgroups,
            tasks=self._tasks,
            steps=(),
        )

    def scenario(self) -> Scenario:
        """The whole scenario, with an observation in the middle and one at the end."""
        length = self._random.randint(5, _MOST_STEPS)
        middle = self._random.randint(2, length - 1)
        for place in range(length):
            if place == middle:
                self._steps.append(schema.Observe(label="middle"))
            self._add_step()
        self._steps.append(schema.Observe(label="end"))
        return msgspec.structs.replace(self._draft, steps=tuple(self._steps))

    def _thp(self) -> schema.Thp:
        choose = self._random.choice
        enabled: Literal["always", "madvise", "never"] = choose(("always", "always", "madvise"))
        return schema.Thp(
            enabled=enabled,
            shrink_underused=choose((True, False)),
            khugepaged=schema.Khugepaged(max_ptes_none=choose((511, 511, 409, 255, 0))),
        )

    def _task(self) -> schema.Task:
        policy = None
        if self._random.random() < 0.3:
            policy = self._policy()
        return schema.Task(cgroup=self._random.choice(_LEAVES), policy=policy)

    def _policy(self) -> schema.Policy:
        mode: Literal["bind", "preferred", "interleave"] = self._random.choice(
            ("bind", "bind", "preferred", "preferred", "interleave")
        )
        if mode == "interleave":
            return schema.Policy(mode=mode, nodes=tuple(range(_NODES)))
        return schema.Policy(mode=mode, nodes=(self._random.randrange(_NODES),))

    def _add_step(self) -> None:
        """Add a step that can be carried out; each attempt draws anew."""
        kinds: list[Callable[[], schema.AnyStep | None]] = [
            self._map,
            self._map,
            self._touch,
            self._touch,
            self._discard,
            self._discard,
            self._unmap,
            self._unmap,
            self._advise,
            self._lock,
            self._fork,
            self._exit,
            self._move_task,
            self._rmdir,
            self._shrink,
            self._shrink,
            self._shrink,
            self._shrink,
            self._set,
            self._reclaim,
        ]
        for _attempt in range(100):
            step = self._map() if not self._regions else self._random.choice(kinds)()
            if step is not None and self._possible(step):
                self._take(step)
                if isinstance(step, schema.Map):
                    self._fill(step)
                return

    def _take(self, step: schema.AnyStep) -> None:
        self._steps.append(step)
        self._note(step)

    def _fill(self, mapped: schema.Map) -> None:
        """Most new regions get huge pages at once, and many of those lose a part: a queue to look at."""
        write: Literal["data", "zeros"] = self._random.choice(("data", "zeros"))
        part = self._random.choice(("all", "first page of each huge page"))
        task, region = mapped.task, mapped.region
        if self._random.random() < 0.8:
            self._take(schema.Touch(task=task, region=region, part=part, write=write))
            if self._random.random() < 0.6:
                lost = self._random.choice(_PARTS)
                self._take(schema.Discard(task=task, region=region, part=lost))

    def _possible(self, step: schema.AnyStep) -> bool:
        try:
            check(msgspec.structs.replace(self._draft, steps=(*self._steps, step)))
        except ScenarioError:
            return False
        return True

    def _note(self, step: schema.AnyStep) -> None:
        if isinstance(step, schema.Map):
            self._regions.append((step.task, step.region, step.size))
        elif isinstance(step, schema.Fork):
            inherited = [
                (step.child, name, size) for task, name, size in self._regions if task == step.task
            ]
            self._regions.extend(inherited)
            self._live.append(step.child)
        elif isinstance(step, schema.Exit):
            self._regions = [region for region in self._regions if region[0] != step.task]
            self._live.remove(step.task)

    def _map(self) -> schema.AnyStep | None:
        if not self._live:
            return None
        size = self._random.randint(1, _MOST_HUGE_PAGES) * HPAGE_PMD_SIZE
        if self._random.random() < 0.2:
            size += self._random.randint(1, 511) * PAGE_SIZE
        self._born += 1
        return schema.Map(
            task=self._random.choice(self._live),
            region=f"r{self._born}",
            size=Size(size),
            policy=self._policy() if self._random.random() < 0.8 else None,
            thp=self._random.choice(("default", "default", "hugepage", "nohugepage")),
        )

    def _range(self) -> tuple[str, str, Size, Size | None, str]:
        """A region, and some of it: task, region, offset, length, part."""
        task, region, size = self._random.choice(self._regions)
        part = self._random.choice(_PARTS) if self._random.random() < 0.6 else "all"
        if self._random.random() < 0.5:
            return task, region, Size(0), None, part
        pages = size // PAGE_SIZE
        unit = 512 if self._random.random() < 0.5 and pages > 512 else 1
        first = self._random.randrange(0, pages, unit)
        length = self._random.randint(1, max(1, (pages - first) // unit)) * unit
        length = min(length, pages - first)
        return task, region, Size(first * PAGE_SIZE), Size(length * PAGE_SIZE), part

    def _touch(self) -> schema.AnyStep:
        task, region, offset, length, part = self._range()
        write: Literal["data", "zeros"] = self._random.choice(("data", "data", "zeros"))
        return schema.Touch(
            task=task, region=region, offset=offset, length=length, part=part, write=write
        )

    def _discard(self) -> schema.AnyStep:
        task, region, offset, length, part = self._range()
        return schema.Discard(task=task, region=region, offset=offset, length=length, part=part)

    def _unmap(self) -> schema.AnyStep:
        task, region, offset, length, part = self._range()
        return schema.Unmap(task=task, region=region, offset=offset, length=length, part=part)

    def _advise(self) -> schema.AnyStep:
        task, region, _size = self._random.choice(self._regions)
        advice: Literal["hugepage", "nohugepage"] = self._random.choice(("hugepage", "nohugepage"))
        return schema.Advise(task=task, region=region, advice=advice)

    def _lock(self) -> schema.AnyStep:
        task, region, _size = self._random.choice(self._regions)
        return schema.Lock(task=task, region=region, locked=self._random.random() < 0.7)

    def _fork(self) -> schema.AnyStep | None:
        if not self._live:
            return None
        self._born += 1
        return schema.Fork(task=self._random.choice(self._live), child=f"child{self._born}")

    def _exit(self) -> schema.AnyStep | None:
        return schema.Exit(task=self._random.choice(self._live)) if self._live else None

    def _move_task(self) -> schema.AnyStep | None:
        if not self._live:
            return None
        cgroup = self._random.choice((*_LEAVES, "/"))
        return schema.MoveTask(task=self._random.choice(self._live), cgroup=cgroup)

    def _rmdir(self) -> schema.AnyStep:
        return schema.Rmdir(cgroup=self._random.choice(_CGROUPS))

    def _shrink(self) -> schema.AnyStep:
        homes = [task.cgroup for task in self._tasks.values()]
        return schema.Shrink(
            cgroup=self._random.choice((*homes, *homes, *_CGROUPS, "/")),
            node=self._random.randrange(_NODES),
            count=self._random.choice((1, 2, 3, 5, 8, 100)),
        )

    def _set(self) -> schema.AnyStep:
        choose = self._random.choice
        if self._random.random() < 0.3:
            file = choose(("memory.high", "memory.max", "memory.low", "memory.min"))
            return schema.Set(file=file, value="1G", cgroup=choose(_LEAVES))
        settings: tuple[tuple[str, tuple[str | int, ...]], ...] = (
            ("enabled", ("always", "madvise", "never")),
            ("shrink_underused", (0, 1)),
            ("khugepaged/max_ptes_none", (0, 255, 409, 511)),
        )
        file, values = choose(settings)
        return schema.Set(file=file, value=choose(values))

    def _reclaim(self) -> schema.AnyStep:
        return schema.Reclaim(cgroup=_NEVER_USED, size=Size(1 << 20))
