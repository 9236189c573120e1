# SPDX-License-Identifier: GPL-2.0-only
"""Each series goes where its name says, and draws the same scenarios for the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from thplab.comparison.settling import settles
from thplab.errors import InputError
from thplab.scenario.check import check
from thplab.scenario.schema import Scenario
from thplab.scenario.steps.advise import Advise
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.move_pages import MovePages
from thplab.scenario.steps.observe import Observe
from thplab.scenario.steps.reclaim import Reclaim
from thplab.scenario.steps.set import Set
from thplab.scenario.steps.touch import Touch
from thplab.scenario.steps.wait import Wait
from thplab.sweep.random_scenarios import random_scenario
from thplab.sweep.series import SERIES, chosen_series

COUNT = 60


def drawn(name: str) -> list[Scenario]:
    """The first scenarios of a series."""
    return [random_scenario(5, number, SERIES[name]) for number in range(COUNT)]


def files(scenarios: Iterable[Scenario]) -> Counter[str]:
    """Which files their steps write, and how often."""
    return Counter(step.file for one in scenarios for step in one.steps if isinstance(step, Set))


@pytest.mark.parametrize("name", SERIES)
def test_scenarios_can_be_carried_out_and_are_the_same_again(name: str) -> None:
    scenarios = drawn(name)
    for scenario in scenarios:
        check(scenario)
        assert isinstance(scenario.steps[-1], Observe)
    assert drawn(name) == scenarios
    assert len({one.name for other in SERIES for one in drawn(other)}) == COUNT * len(SERIES)


def test_limits_are_reached_and_lowered() -> None:
    scenarios = drawn("limits")
    wanted = {"memory.max", "memory.high", "memory.low", "memory.min"}
    assert all(files(scenarios)[file] > COUNT // 6 for file in wanted)
    used = [
        step
        for one in scenarios
        for step in one.steps
        if isinstance(step, Reclaim) and step.cgroup != "/idle"
    ]
    assert len(used) > COUNT // 2


def test_a_task_over_memory_high_faults_little() -> None:
    """The kernel makes it sleep for each huge page, and for each 64 base pages."""
    crossed = 0
    for scenario in drawn("limits"):
        high: set[str | None] = set()
        for step in scenario.steps:
            if isinstance(step, Set) and step.file == "memory.high":
                (high.discard if step.value == "max" else high.add)(step.cgroup)
            elif isinstance(step, Touch) and high:
                crossed += 1
                assert str(step.part) in (
                    "first page of each huge page",
                    "page 7 of each huge page",
                    "pages 16-31 of each huge page",
                )
        assert not high
    assert crossed > COUNT // 6


def test_nodes_are_filled_beyond_what_they_have() -> None:
    scenarios = drawn("nodes")
    assert {len(one.host.nodes) for one in scenarios} == {2, 3}
    filled = [one for one in scenarios if "filler" in one.tasks]
    assert COUNT // 2 < len(filled) < COUNT
    steps = [step for one in scenarios for step in one.steps]
    assert sum(isinstance(step, MovePages) for step in steps) > COUNT // 4
    assert sum(isinstance(step, Advise) and step.advice == "collapse" for step in steps) > 10


def test_no_memory_is_bound_to_a_full_node() -> None:
    """A task that then finds no memory would be killed, or not, by what the kernel can free."""
    for scenario in drawn("nodes"):
        filler = next(
            (s for s in scenario.steps if isinstance(s, Map) and s.task == "filler"), None
        )
        policy = filler.effective_policy() if filler is not None else None
        if policy is None:
            continue
        ended = False
        for step in scenario.steps:
            ended = ended or (getattr(step, "task", "") == "filler" and not isinstance(step, Map))
            bound = step.effective_policy() if isinstance(step, Map) and not ended else None
            if bound is not None and bound.mode == "bind":
                assert bound.nodes != policy.nodes


def test_khugepaged_passes_until_nothing_is_left_to_do() -> None:
    for scenario in drawn("khugepaged"):
        assert scenario.host.thp["khugepaged/awake"]
        assert any(isinstance(step, Wait) for step in scenario.steps)
        assert settles(scenario)


def test_kinds_take_turns() -> None:
    assert [one.name for one in chosen_series(["limits", "nodes"])] == ["limits", "nodes"]
    assert [one.name for one in chosen_series(["all"])] == list(SERIES)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="--kind node: there is none; did you mean"):
        chosen_series(["node"])


def test_no_task_is_bound_to_the_node_that_is_filled() -> None:
    """Its process would need memory there: number 15 of seed 9 ended in an OOM kill of the filler, on 7.3."""
    scenarios = [*drawn("nodes"), random_scenario(9, 15, SERIES["nodes"])]
    filled = 0
    for one in scenarios:
        bound = [
            task.policy.nodes
            for task in one.tasks.values()
            if task.policy is not None and task.policy.mode == "bind"
        ]
        for step in one.steps:
            if isinstance(step, Map) and step.task == "filler" and step.policy is not None:
                assert step.policy.nodes not in bound
                filled += 1
    assert filled > COUNT // 2
