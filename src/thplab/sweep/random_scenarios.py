# SPDX-License-Identifier: GPL-2.0-only
"""Random scenarios whose every figure is exact on a real kernel.

Each step file says how fuzz draws the step, or that it never does: fuzz draws only steps whose outcome
the steps alone decide. No node ever runs out of memory, so no reclaim starts by itself.
"""

from __future__ import annotations

from random import Random

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.errors import ScenarioError
from thplab.scenario.host import Host, Task
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps import STEPS
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.observe import Observe
from thplab.scenario.steps.touch import Touch
from thplab.scenario.tunables import CgroupSettings, ThpSettings
from thplab.scenario.units import Size

__all__ = ["random_scenario"]

_NODES = (Size(1 << 30),) * 2
_NEVER_USED = "/idle"
_CGROUPS = ("/a", "/b", "/c", "/c/d", _NEVER_USED)
_TASKS = ("one", "two")
_STEPS = (5, 18)
_ATTEMPTS = 100
_KINDS = [kind for kind in STEPS.values() for _ in range(kind.weight)]


def random_scenario(seed: int, number: int) -> Scenario:
    """The scenario of this seed and number: always the same one.

    Args:
        seed: of the series.
        number: its place in it, from 0.
    """
    random = Random(f"{seed}/{number}")  # noqa: S311 -- nothing is kept secret by it
    host = Host(nodes=_NODES, thp=_settings(random))
    draw = Draw(random, Declared(host, _CGROUPS), _NEVER_USED)
    tasks = {name: _task(draw) for name in _TASKS}
    for name, task in tasks.items():
        draw.declared.add_task(name, task)
    return Scenario(
        name=f"fuzz-{seed}-{number}",
        summary="written by thplab fuzz",
        host=host,
        cgroups={path: CgroupSettings() for path in _CGROUPS},
        tasks=tasks,
        steps=tuple(_steps(draw)),
    )


def _settings(random: Random) -> ThpSettings:
    """Random values of some files, set before the first step."""
    settings = ThpSettings()
    for file, row in ThpSettings.rows.items():
        if row.draws:
            settings = settings.with_value(file, random.choice(row.draws))
    return settings


def _task(draw: Draw) -> Task:
    return Task(cgroup=draw.leaf(), policy=draw.policy() if draw.chance(0.3) else None)


def _steps(draw: Draw) -> list[Step]:
    """Possible steps, with an observation in the middle and one at the end."""
    steps: list[Step] = []
    length = draw.random.randint(*_STEPS)
    middle = draw.random.randint(2, length - 1)
    for place in range(length):
        if place == middle:
            _take(Observe(label="middle"), draw, steps)
        _draw_one(draw, steps)
    _take(Observe(label="end"), draw, steps)
    return steps


def _draw_one(draw: Draw, steps: list[Step]) -> None:
    """One step, and what goes with a new region; a step that cannot be carried out is drawn again."""
    for _ in range(_ATTEMPTS):
        kind = draw.choice(_KINDS) if draw.region() else Map
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
