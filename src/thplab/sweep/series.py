# SPDX-License-Identifier: GPL-2.0-only
"""The series that fuzz draws from: where each goes, and how its scenarios begin.

"steps" is the oldest: no node runs out of memory, no task reaches a limit, khugepaged sleeps. The others go
to where that changes. They do it in such a way that the outcome is still decided by the steps: a filled node
stays full, memory that a limit reclaims is all that is queued, and khugepaged passes until nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from thplab.mm.geometry import HPAGE_PMD_SIZE
from thplab.scenario.drawing import Draw
from thplab.scenario.errors import InputError
from thplab.scenario.host import Task
from thplab.scenario.naming import meant
from thplab.scenario.parts import Part
from thplab.scenario.policies import Policy
from thplab.scenario.step import Step
from thplab.scenario.steps import STEPS
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.exit import Exit
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.set import Set
from thplab.scenario.steps.touch import Touch
from thplab.scenario.steps.wait import Wait
from thplab.scenario.tunables import AWAKE, Value
from thplab.scenario.units import Size

__all__ = ["ALL", "DEFAULT", "SERIES", "Series", "chosen_series"]

ALL = "all"
DEFAULT = "steps"

_SMALL = Size(256 << 20)
_FILLER = "filler"
_SLEEP = "khugepaged/scan_sleep_millisecs"
_ASLEEP = 1_000_000_000
_FEW = ("first page", "page 7", "pages 16-31")
_EVERYTHING = 1 << 20
"""Base pages that a pass looks at: more than the tasks of any scenario have."""

Steps = list[Step]


class Series(NamedTuple):
    """One kind of random scenarios.

    Attributes:
        name: what `fuzz --kind` calls it.
        about: where it goes, in a line.
        hosts: the memory of the nodes, one of these.
        cgroups: the cgroups of its scenarios.
        leaves: the cgroup of each task in turn; empty: a drawn one.
        settings: files of huge pages that the host sets, to one of these values.
        length: the least and the largest number of steps that are drawn.
        begin, middle, end: the steps that it adds before the drawn ones, in their middle, and after them.
    """

    name: str
    about: str
    hosts: tuple[tuple[Size, ...], ...]
    cgroups: tuple[str, ...] = ("/a", "/b", "/c", "/c/d", "/idle")
    leaves: tuple[str, ...] = ()
    settings: Mapping[str, tuple[Value, ...]] = {}
    length: tuple[int, int] = (5, 18)
    begin: Callable[[Draw], Steps] = lambda _draw: []
    middle: Callable[[Draw], Steps] = lambda _draw: []
    end: Callable[[Draw], Steps] = lambda _draw: []

    def kinds(self) -> list[type[Step]]:
        """The steps, each as often as its weight in this series says."""
        return [
            kind for kind in STEPS.values() for _ in range(kind.weights.get(self.name, kind.weight))
        ]


def _fill_a_node(draw: Draw) -> Steps:
    """Fill a node with huge pages down to its min watermark. No huge page fits any more, and base pages, which
    look at the low watermark first, go to the next node.

    A node to which a task is bound stays as it is: all that the process needs comes from there too, so that the kernel
    would reclaim the filler's queue, or kill it.
    """
    if draw.chance(0.15):
        return []
    node = draw.node()
    if node in draw.bound:
        return []
    draw.apart.add(_FILLER)
    draw.full.add(node)
    draw.declared.add_task(_FILLER, Task(cgroup="/full"))
    policy = Policy(mode="preferred", nodes=(node,))
    size = Size(draw.declared.host.nodes[node] * 7 // 8)
    first = Part.parse("first page of each huge page")
    return [
        Map(task=_FILLER, region="most", size=size, policy=policy),
        Touch(task=_FILLER, region="most", part=first),
    ]


def _empty_a_node(draw: Draw) -> Steps:
    """Sometimes all memory of the filled node comes back."""
    if not draw.full or draw.chance(0.7):
        return []
    draw.full.clear()
    return [Exit(task=_FILLER)]


def _let_khugepaged_pass(_draw: Draw) -> Steps:
    """Wake khugepaged until it has done all that there is to do."""
    return [Set(file=_SLEEP, value=100), Wait(seconds=1)]


def _let_khugepaged_pass_once(draw: Draw) -> Steps:
    """Sometimes the same before the end, and then it sleeps again: a write to the file starts a last pass."""
    if draw.chance(0.6):
        return []
    return [*_let_khugepaged_pass(draw), Set(file=_SLEEP, value=_ASLEEP), Wait(seconds=1)]


def _use_memory(draw: Draw) -> Steps:
    """Each task has some huge pages, most of them with holes, so that a limit has something to reclaim."""
    steps: Steps = []
    for task in draw.declared.tasks:
        region = draw.new_name("r")
        size = Size(draw.random.randint(2, 6) * HPAGE_PMD_SIZE)
        steps.append(Map(task=task, region=region, size=size))
        steps.append(Touch(task=task, region=region))
        if draw.chance(0.8):
            steps.append(Discard(task=task, region=region, part=draw.part()))
    return steps


def _lower_high(draw: Draw) -> Steps:
    """Lower memory.high below what is used, sometimes fault beyond it, and lift it again.

    It is lifted because the kernel makes a task beyond it wait: up to two seconds for each huge page that it is
    charged for, and for each 64 base pages. So a fault has few pages to write.
    """
    task = draw.task()
    if task is None or draw.chance(0.2):
        return []
    cgroup = draw.declared.tasks[task].cgroup
    steps: Steps = [Set(file="memory.high", value=draw.limit(), cgroup=cgroup)]
    if draw.chance(0.4):
        region = draw.new_name("r")
        size = Size(draw.random.randint(1, 2) * HPAGE_PMD_SIZE)
        part = Part.parse(f"{draw.choice(_FEW)} of each huge page")
        steps.append(Map(task=task, region=region, size=size))
        steps.append(Touch(task=task, region=region, part=part))
    return [*steps, Set(file="memory.high", value="max", cgroup=cgroup)]


SERIES = {
    series.name: series
    for series in (
        Series(
            name=DEFAULT,
            about="the calls of tasks on their memory: no node is full, no limit is reached",
            hosts=((Size(1 << 30),) * 2,),
        ),
        Series(
            name="limits",
            about="limits that are reached and lowered, protection, memory.reclaim of used cgroups",
            hosts=((_SMALL,) * 2,),
            cgroups=("/a", "/b", "/c", "/c/d", "/c/e", "/idle"),
            leaves=("/a", "/b", "/c/d", "/c/e"),
            settings={"enabled": ("always",)},
            length=(5, 14),
            begin=_use_memory,
            middle=_lower_high,
            end=_lower_high,
        ),
        Series(
            name="nodes",
            about="full nodes, two or three of them: fallbacks, move_pages, MADV_COLLAPSE",
            hosts=((_SMALL,) * 2, (_SMALL,) * 3),
            cgroups=("/a", "/b", "/c", "/c/d", "/full", "/idle"),
            # With fewer the filler would be underused, and reclaim would take of it as long as it runs.
            settings={"enabled": ("always",), "khugepaged/max_ptes_none": (511,)},
            length=(4, 12),
            begin=_fill_a_node,
            middle=_empty_a_node,
        ),
        Series(
            name="khugepaged",
            about="khugepaged awake, and MADV_COLLAPSE",
            hosts=((_SMALL,) * 2,),
            settings={
                AWAKE: (True,),
                _SLEEP: (_ASLEEP,),
                "khugepaged/pages_to_scan": (_EVERYTHING,),
                "enabled": ("always", "always", "madvise"),
            },
            length=(4, 12),
            middle=_let_khugepaged_pass_once,
            end=_let_khugepaged_pass,
        ),
    )
}
"""By name."""


def chosen_series(names: Sequence[str]) -> list[Series]:
    """The series of these names, by turns; "all" stands for each.

    Raises:
        InputError: there is no such series.
    """
    chosen: dict[str, Series] = {}
    for name in names:
        if name == ALL:
            chosen.update(SERIES)
        elif name in SERIES:
            chosen[name] = SERIES[name]
        else:
            raise InputError(
                f"--kind {name}: there is none; {meant(name, [*SERIES, ALL], 'kinds')}"
            )
    return list(chosen.values())
