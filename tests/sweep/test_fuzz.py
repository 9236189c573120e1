# SPDX-License-Identifier: GPL-2.0-only
"""Random scenarios: the same for the same seed, valid, and made small when something differs."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from thplab.backends import model, vm
from thplab.backends.errors import KernelRunError
from thplab.errors import InputError
from thplab.releases.release import Release
from thplab.scenario.check import check
from thplab.scenario.observation import Run, StepOutcome, without_figures
from thplab.scenario.schema import Scenario
from thplab.scenario.steps.advise import Advise
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.exit import Exit
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.move_pages import MovePages
from thplab.scenario.steps.move_task import MoveTask
from thplab.scenario.steps.observe import Observe
from thplab.scenario.steps.pressure import Pressure
from thplab.scenario.steps.reclaim import Reclaim
from thplab.scenario.steps.rmdir import Rmdir
from thplab.scenario.steps.set import Set
from thplab.scenario.steps.shrink import Shrink
from thplab.scenario.steps.touch import Touch
from thplab.scenario.steps.unmap import Unmap
from thplab.scenario.steps.wait import Wait
from thplab.scenario.toml_writer import scenario_toml
from thplab.sweep.fuzz import fuzz
from thplab.sweep.random_scenarios import random_scenario
from thplab.sweep.reduce import reduce_scenario, shorter_scenarios

SERIES = [random_scenario(7, number) for number in range(60)]


def test_a_seed_writes_the_same_scenarios_again() -> None:
    assert [random_scenario(7, number) for number in range(60)] == SERIES
    assert random_scenario(8, 0) != SERIES[0]


def test_random_scenarios_can_be_carried_out_and_observe_at_the_end() -> None:
    for scenario in SERIES:
        check(scenario)
        assert isinstance(scenario.steps[-1], Observe)


def test_every_step_whose_outcome_is_exact_is_written() -> None:
    kinds = Counter(type(step) for scenario in SERIES for step in scenario.steps)
    wanted = {
        Map,
        Touch,
        Discard,
        Unmap,
        Advise,
        Fork,
        Exit,
        MoveTask,
        Rmdir,
        Set,
        Shrink,
        Reclaim,
    }
    assert wanted <= set(kinds)
    assert not {Pressure, MovePages, Wait} & set(kinds)


def test_random_scenarios_split_and_queue_huge_pages() -> None:
    ends = [model.run(scenario, "list_lru").observations[-1] for scenario in SERIES]
    assert sum((end.vmstat["thp_deferred_split_page"] or 0) > 0 for end in ends) > 15
    assert sum((end.vmstat["thp_split_page"] or 0) > 0 for end in ends) > 5


def discards(scenario: Scenario) -> int:
    """How many discards there are."""
    return sum(isinstance(step, Discard) for step in scenario.steps)


def test_the_smallest_failing_scenario_is_left() -> None:
    """Two discards are needed for the failure, and what they need themselves."""
    scenario = next(one for one in SERIES if discards(one) >= 4)

    def failing(candidates: Sequence[Scenario]) -> list[bool]:
        return [discards(candidate) >= 2 for candidate in candidates]

    smallest = reduce_scenario(scenario, failing)
    check(smallest)
    assert discards(smallest) == 2
    assert len(smallest.steps) <= 5
    assert "/idle" not in smallest.cgroups


def test_every_shorter_scenario_can_be_carried_out() -> None:
    for shorter in shorter_scenarios(SERIES[0]):
        check(shorter)
        assert len(shorter.steps) <= len(SERIES[0].steps)


def pretended(scenarios: Sequence[Scenario], wrong: str) -> list[Run]:
    """Runs of a kernel that is the model, but for one counter after an exit."""
    runs = []
    for scenario in scenarios:
        run = model.run(scenario, "list_lru")
        run.backend = "kernel"
        exits = any(isinstance(step, Exit) for step in scenario.steps)
        if exits:
            end = run.observations[-1].vmstat
            end[wrong] = (end[wrong] or 0) + 1
        runs.append(run)
    return runs


def test_a_difference_is_found_and_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the runs stay as the kernel gave them."""
    given: list[Run] = []
    before: list[Run] = []

    def run_each(scenarios: Sequence[Scenario], kernel: str, time_limit: float | None) -> list[Run]:
        del kernel, time_limit
        runs = pretended(scenarios, "thp_split_pmd")
        given.extend(runs)
        before.extend(copy.deepcopy(runs))
        return runs

    monkeypatch.setattr(vm, "run_each", run_each)
    report = fuzz("bzImage", 12, 7, lambda _done: None)
    assert given == before
    with_exit = [
        number
        for number in range(12)
        if any(isinstance(step, Exit) for step in SERIES[number].steps)
    ]
    assert [finding.number for finding in report.findings] == with_exit
    assert with_exit
    for finding in report.findings:
        assert any("thp_split_pmd" in line for line in finding.lines)
        assert len(finding.smallest.steps) <= 3, scenario_toml(finding.smallest)
    assert report.figures > 500


def test_a_scenario_that_brings_the_kernel_down_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fourth one does, whenever it is tried."""

    def run_each(
        scenarios: Sequence[Scenario], kernel: str, time_limit: float | None
    ) -> list[Run | KernelRunError]:
        del kernel, time_limit
        return [
            KernelRunError("it panicked") if one.name == "fuzz-7-3" else run
            for one, run in zip(scenarios, pretended(scenarios, "oom_kill"), strict=True)
        ]

    monkeypatch.setattr(vm, "run_each", run_each)
    monkeypatch.setattr("thplab.sweep.fuzz.reduce_scenario", lambda scenario, _failing: scenario)
    report = fuzz("bzImage", 6, 7, lambda _done: None)
    (finding,) = [finding for finding in report.findings if finding.number == 3]
    assert finding.lines == ["the kernel failed: it panicked"]


def without_debugfs(scenarios: Sequence[Scenario]) -> list[Run]:
    """Runs of a kernel that is the model, but does not offer `shrink` and then shows nothing."""
    runs = []
    for scenario in scenarios:
        run = model.run(scenario, "list_lru")
        run.backend, run.kernel = "kernel", "7.3.4+deb13-amd64"
        shrinks = [at for at, step in enumerate(scenario.steps) if isinstance(step, Shrink)]
        if shrinks:
            outcome = StepOutcome(step=shrinks[0], do="shrink", text="not done", done=False)
            run.outcomes = [outcome]
            run.observations = [without_figures(one, "not done") for one in run.observations]
        runs.append(run)
    return runs


def test_a_kernel_that_does_not_offer_a_step_runs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """After such a step nothing could be compared."""
    ran: list[int] = []

    def run_each(scenarios: Sequence[Scenario], kernel: str, time_limit: float | None) -> list[Run]:
        del kernel, time_limit
        ran.append(len(scenarios))
        return without_debugfs(scenarios)

    monkeypatch.setattr(vm, "run_each", run_each)
    shrinking = [any(isinstance(step, Shrink) for step in one.steps) for one in SERIES[:30]]
    report = fuzz("bzImage", 30, 7, lambda _done: None)
    assert ran == [10, sum(shrinking[:10]), 20], "only the first batch has to run again"
    assert report.left_out == {"shrink"}
    assert (report.empty, report.findings) == (0, [])
    assert report.linux == "7.3.4+deb13-amd64"
    with_shrink = fuzz_figures(monkeypatch)
    assert 0 < report.figures < with_shrink, "what shrink did is not compared"


def fuzz_figures(monkeypatch: pytest.MonkeyPatch) -> int:
    """The figures that agree on a kernel that is the model."""

    def run_each(scenarios: Sequence[Scenario], kernel: str, time_limit: float | None) -> list[Run]:
        del kernel, time_limit
        return [model.run(scenario, "list_lru") for scenario in scenarios]

    monkeypatch.setattr(vm, "run_each", run_each)
    return fuzz("bzImage", 30, 7, lambda _done: None).figures


def test_a_scenario_that_compared_nothing_does_not_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_each(scenarios: Sequence[Scenario], kernel: str, time_limit: float | None) -> list[Run]:
        del kernel, time_limit
        runs = [model.run(scenario, "list_lru") for scenario in scenarios]
        runs[2].observations = [without_figures(one, "unseen") for one in runs[2].observations]
        return runs

    monkeypatch.setattr(vm, "run_each", run_each)
    report = fuzz("bzImage", 6, 7, lambda _done: None)
    assert (report.empty, report.findings) == (1, [])


def test_a_kernel_of_an_unknown_design_has_no_model_to_agree_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run_each(scenarios: Sequence[Scenario], kernel: str, time_limit: float | None) -> list[Run]:
        del kernel, time_limit
        runs = [model.run(scenario, "list_lru") for scenario in scenarios]
        return [
            msgspec.structs.replace(
                run,
                title="bzImage-9.9",
                release=Release.of_version("9.9", "unknown"),
                notes=["design unknown: no design has them"],
            )
            for run in runs
        ]

    monkeypatch.setattr(vm, "run_each", run_each)
    with pytest.raises(
        InputError,
        match=r"bzImage.*: the design of its deferred split queue is unknown.*no design has them",
    ):
        fuzz("bzImage", 6, 7, lambda _done: None)
