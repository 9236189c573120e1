# SPDX-License-Identifier: GPL-2.0-only
"""How the tests of the steps try a step: on the model, as a mistake in a file, and against a recorded kernel."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import cast

import pytest

from tests.scenario.scenario_text import HEAD, scenario_text
from thplab.backends import model
from thplab.releases.named import release_named
from thplab.scenario.errors import ScenarioError
from thplab.scenario.loader import loads
from thplab.scenario.observation import Observation
from thplab.scenario.step import RangeStep, Step
from thplab.scenario.worlds import KernelWorld

Table = Mapping[str, object]

UPPER = "upper half of each huge page"
FIRST = "first page of each huge page"

_HEAD = HEAD.replace("[cgroups]", "[host.thp]\nshrink_underused = false\n\n[cgroups]")
_REGION: Table = {"do": "map", "task": "victim", "region": "far", "size": "8M", "node": 1}


def step(do: str, **keys: object) -> Table:
    """A step on the region far of task victim, which has 4 huge pages."""
    return {"do": do, "task": "victim", "region": "far", **keys}


TOUCH = step("touch")
FORK: Table = {"do": "fork", "task": "victim", "child": "child"}


def text(*steps: Table) -> str:
    """A scenario of the steps, after the region was mapped; it ends with an observation."""
    return scenario_text(_REGION, *steps, {"do": "observe", "label": "end"}, head=_HEAD)


class Played:
    """What came of steps on the model.

    Attributes:
        end: the observation after them.
        outcomes: what steps did that it does not show.
    """

    def __init__(self, end: Observation, outcomes: list[str]) -> None:
        self.end = end
        self.outcomes = outcomes

    def pages(self, task: str = "victim") -> tuple[int | None, int | None]:
        """Huge pages and base pages of the task's region."""
        node = self.end.regions[f"{task}.far"].nodes[1]
        return node.huge, node.base

    def count(self, event: str) -> int | None:
        """A counter of /proc/vmstat."""
        return self.end.vmstat[event]


def play(*steps: Table, release: str = "7.3") -> Played:
    """Carry the steps out on the model."""
    run = model.run(loads(text(*steps)), release=release_named(release))
    return Played(run.observations[-1], [outcome.text for outcome in run.outcomes])


def complaint(*steps: Table) -> str:
    """Why the loader refuses the steps."""
    with pytest.raises(ScenarioError) as caught:
        loads(text(*steps))
    return str(caught.value)


def loaded(table: Table) -> Step:
    """The step as a scenario has it."""
    return loads(text(table)).steps[1]


def calls_of(table: Table) -> list[tuple[object, ...]]:
    """The system calls of a step on a kernel: the region, the function, what follows address and length."""
    calls: list[tuple[object, ...]] = []

    def call_each(step: RangeStep, function: str, *arguments: int) -> str:
        calls.append((step.region, function, *arguments))
        return ""

    assert loaded(table).on_kernel(cast("KernelWorld", SimpleNamespace(call_each=call_each))) == ""
    return calls
