# SPDX-License-Identifier: GPL-2.0-only
"""Random scenarios, each of a series (:mod:`thplab.sweep.series`).

Each step file says how fuzz draws the step, or that it never does: fuzz draws only steps whose outcome
the steps alone decide, or has bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.errors import ScenarioError
from thplab.scenario.host import Host, Task
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.observe import Observe
from thplab.scenario.steps.touch import Touch
from thplab.scenario.tunables import CgroupSettings, ThpSettings
from thplab.sweep.series import SERIES, Series

__all__ = ["random_scenario"]

_NEVER_USED = "/idle"
_TASKS = ("one", "two")
_ATTEMPTS = 100


def random_scenario(seed: int, number: int, series: Series = SERIES["steps"]) -> Scenario:
    """The scenario of this seed and number: always the same one.

    Args:
        seed: of the series.
        number: its place in it, from 0.
        series: what kind of scenario.
    """
    random = Random(f"{seed}/{number}")  # noqa: S311 -- nothing is kept secret by it
    nodes = series.hosts[0] if len(series.hosts) == 1 else random.choice(series.hosts)
    host = Host(nodes=nodes, thp=_settings(random, series))
    draw = Draw(random, Declared(host, series.cgroups), _NEVER_USED, series.name)
    names = (
        _TASKS if not series.leaves else tuple(f"t{place}" for place in range(len(series.leaves)))
    )
    tasks = {name: _task(draw, series, place) for place, name in enumerate(names)}
    for name, task in tasks.items():
        draw.declared.add_task(name, task)
        if task.policy is not None and task.policy.mode == "bind" and len(task.policy.nodes) == 1:
            draw.bound.update(task.policy.nodes)
    begin = series.begin(draw)
    tasks |= {name: Task(cgroup=draw.declared.tasks[name].cgroup) for name in draw.apart}
    kind = "" if series.name == "steps" else f"{series.name}-"
    return Scenario(
        name=f"fuzz-{kind}{seed}-{number}",
        summary="written by thplab fuzz",
        host=host,
        cgroups={path: CgroupSettings() for path in series.cgroups},
        tasks=tasks,
        steps=tuple(_steps(draw, series, begin)),
    )


def _settings(random: Random, series: Series) -> ThpSettings:
    """Random values of some files, set before the first step, and those of the series."""
    settings = ThpSettings()
    for file, row in ThpSettings.rows.items():
        if row.draws:
            settings = settings.with_value(file, random.choice(row.draws))
    for file, values in series.settings.items():
        settings = settings.with_value(file, random.choice(values))
    return settings


def _task(draw: Draw, series: Series, place: int) -> Task:
    cgroup = series.leaves[place] if series.leaves else draw.leaf()
    return Task(cgroup=cgroup, policy=draw.policy() if draw.chance(0.3) else None)


def _steps(draw: Draw, series: Series, begin: Sequence[Step]) -> list[Step]:
    """Possible steps, with an observation in the middle and one at the end."""
    steps: list[Step] = []
    kinds = series.kinds()
    _take_all(begin, draw, steps)
    length = draw.random.randint(*series.length)
    middle = draw.random.randint(2, length - 1)
    for place in range(length):
        if place == middle:
            _take_all([*series.middle(draw), Observe(label="middle")], draw, steps)
        _draw_one(draw, kinds, steps)
    _take_all([*series.end(draw), Observe(label="end")], draw, steps)
    return steps


def _take_all(wanted: Sequence[Step], draw: Draw, steps: list[Step]) -> None:
    for step in wanted:
        _take(step, draw, steps)


def _draw_one(draw: Draw, kinds: Sequence[type[Step]], steps: list[Step]) -> None:
    """One step, and what goes with a new region; a step that cannot be carried out is drawn again."""
    for _ in range(_ATTEMPTS):
        kind = draw.choice(kinds) if draw.region() else Map
        step = kind.draw(draw)
        if step is not None and _take(step, draw, steps):
            if isinstance(step, Map):
                _fill(step, draw, steps)
            return


def _take(step: Step, draw: Draw, steps: list[Step]) -> bool:
    """Add the step, unless it is impossible at this point."""
    draw.declared.where = f"step {len(steps) + 1}"
    try:
        step.check(draw.declared)
    except ScenarioError:
        return False
    steps.append(step)
    return True


def _fill(mapped: Map, draw: Draw, steps: list[Step]) -> None:
    """Touch most new regions, and discard a part of many of them, so that there is a queue to observe."""
    task, region = mapped.task, mapped.region
    if draw.chance(0.8):
        part = None if draw.chance(0.5) else draw.part()
        write = draw.choice(("data", "zeros"))
        touch = Touch(
            task=task, region=region, part=part, write="data" if write == "data" else "zeros"
        )
        _take(touch, draw, steps)
        if draw.chance(0.6):
            _take(Discard(task=task, region=region, part=draw.part()), draw, steps)
