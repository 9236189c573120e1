# SPDX-License-Identifier: GPL-2.0-only
"""Reduces a failing scenario: leaves out every step without which it still fails.

A trial on a kernel costs a boot, but many scenarios share one boot: each round tries all ways to
leave something out at once, and continues with the shortest scenario that still fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from thplab.scenario.check import check
from thplab.scenario.errors import ScenarioError
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps.observe import Observe

__all__ = ["reduce_scenario", "shorter_scenarios"]

_MOST_ROUNDS = 12


def reduce_scenario(
    scenario: Scenario, failing: Callable[[Sequence[Scenario]], Sequence[bool]]
) -> Scenario:
    """The smallest scenario found that also fails.

    Args:
        scenario: one that fails.
        failing: takes many scenarios, and returns for each whether it fails.
    """
    smallest = scenario
    for _round in range(_MOST_ROUNDS):
        candidates = shorter_scenarios(smallest)
        if not candidates:
            break
        verdicts = failing(candidates)
        failures = [one for one, fails in zip(candidates, verdicts, strict=True) if fails]
        if not failures:
            break
        smallest = min(failures, key=_weight)
    return smallest


def shorter_scenarios(scenario: Scenario) -> list[Scenario]:
    """Every way to leave out a run of steps (half of them, a quarter, ... one), a cgroup or a task.

    Steps that depend on something left out are left out too.
    """
    found: dict[tuple[Step, ...], Scenario] = {}
    count = len(scenario.steps)
    length = max(1, count // 2)
    while length:
        for start in range(0, count, max(1, length // 2)):
            rest = scenario.steps[:start] + scenario.steps[start + length :]
            possible = _possible(scenario, rest)
            if possible is not None and len(possible.steps) < count:
                found.setdefault(possible.steps, possible)
        length //= 2
    candidates = list(found.values())
    trimmed = _without_unused(scenario)
    if trimmed is not None:
        candidates.append(trimmed)
    return candidates


def _possible(scenario: Scenario, steps: Sequence[Step]) -> Scenario | None:
    """The scenario with those of the steps that are still possible, in order."""
    kept: list[Step] = []
    declared = scenario.declared()
    for step in steps:
        declared.where = f"step {len(kept) + 1}"
        try:
            step.check(declared)
        except ScenarioError:
            continue
        kept.append(step)
    if not any(isinstance(step, Observe) for step in kept):
        return None
    return msgspec.structs.replace(scenario, steps=tuple(kept), claims=())


def _without_unused(scenario: Scenario) -> Scenario | None:
    """The scenario without the tasks and cgroups that no step needs; None if it needs all."""
    tasks = dict(scenario.tasks)
    cgroups = dict(scenario.cgroups)
    for name in list(tasks):
        rest = {other: task for other, task in tasks.items() if other != name}
        if _valid(msgspec.structs.replace(scenario, tasks=rest)):
            tasks = rest
    for path in sorted(cgroups, key=lambda name: name.count("/"), reverse=True):
        if any(other.startswith(f"{path}/") for other in cgroups):
            continue
        fewer = {other: cgroup for other, cgroup in cgroups.items() if other != path}
        if _valid(msgspec.structs.replace(scenario, tasks=tasks, cgroups=fewer)):
            cgroups = fewer
    if len(tasks) == len(scenario.tasks) and len(cgroups) == len(scenario.cgroups):
        return None
    return msgspec.structs.replace(scenario, tasks=tasks, cgroups=cgroups)


def _valid(scenario: Scenario) -> bool:
    try:
        check(scenario)
    except ScenarioError:
        return False
    return True


def _weight(scenario: Scenario) -> tuple[int, int]:
    return len(scenario.steps), len(scenario.tasks) + len(scenario.cgroups)
