# SPDX-License-Identifier: GPL-2.0-only
"""Runs random scenarios on the model and on a kernel, which must agree figure by figure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from thplab.backends import vm
from thplab.comparison.bounds import verify_beside
from thplab.comparison.verify import Verification, unknown_design
from thplab.errors import InputError, ThplabError
from thplab.releases.release import Release
from thplab.scenario.figures import FigurePath
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.sweep.random_scenarios import random_scenario
from thplab.sweep.reduce import reduce_scenario
from thplab.sweep.series import DEFAULT, chosen_series

__all__ = ["Finding", "FuzzReport", "fuzz"]

_BATCH = 100
"""Scenarios that share a boot."""
_FIRST_BATCH = 10
"""So many suffice to find out which steps the kernel does not offer."""
_MOST_REDUCED = 10
"""Findings that are reduced, because each takes many boots; the rest stay as they were drawn."""


class Finding(msgspec.Struct, kw_only=True):
    """A scenario on which model and kernel disagree.

    Attributes:
        number: its place in the series.
        original: as fuzz drew it.
        smallest: as fuzz reduced it.
        lines: the differences on the smallest, a line each.
    """

    number: int
    original: Scenario
    smallest: Scenario
    lines: list[str]


class FuzzReport(msgspec.Struct, kw_only=True):
    """The result of a series of random scenarios."""

    kernel: str
    """The title of its column."""
    linux: str = ""
    """Its uname -r; "" if no scenario ran to its end."""
    release: Release | None = None
    """What it does, as the probe found it."""
    seed: int
    count: int
    figures: int = 0
    """The number of figures that agreed, exactly or within a tolerance."""
    empty: int = 0
    """The number of scenarios of which no figure could be compared: these neither agree nor differ."""
    left_out: set[str] = set()
    """What the kernel does not offer: the scenarios do without the steps that need it."""
    findings: list[Finding] = []


def fuzz(
    kernel: str,
    count: int,
    seed: int,
    progress: Callable[[int], None],
    time_limit: float | None = None,
    kinds: Sequence[str] = (DEFAULT,),
) -> FuzzReport:
    """Run random scenarios in batches, and reduce each that shows a difference.

    After a step that the kernel does not offer nothing can be compared. The scenarios do without such
    steps; those in which one came to light run again.

    Args:
        kernel: see :func:`thplab.backends.kernel_image.find_kernel`.
        count: how many.
        seed: of the series; the same seed gives the same scenarios.
        progress: called with the number of completed scenarios.
        time_limit: see :func:`thplab.backends.vm.run_each`.
        kinds: of scenarios, by turns; see :mod:`thplab.sweep.series`.

    Raises:
        InputError: there is no such kind, thplab cannot boot the kernel here, or there is no model of its design.
    """
    series = chosen_series(kinds)
    report = FuzzReport(kernel=kernel, seed=seed, count=count)
    try_all = functools.partial(_try_all, report=report, kernel=kernel, time_limit=time_limit)
    start = 0
    while start < count:
        numbers = range(start, min(start + (_BATCH if start else _FIRST_BATCH), count))
        scenarios = [
            random_scenario(seed, number, series[number % len(series)]) for number in numbers
        ]
        for number, outcome in zip(numbers, try_all(scenarios), strict=True):
            report.figures += outcome.agreed
            if outcome.symptoms and len(report.findings) >= _MOST_REDUCED:
                report.findings.append(_as_drawn(number, outcome))
            elif outcome.symptoms:
                report.findings.append(_reduce(number, outcome, try_all))
            elif not outcome.agreed:
                report.empty += 1
        start = numbers.stop
        progress(start)
    return report


class _Outcome:
    """The result of one scenario.

    Attributes:
        scenario: as it ran.
        agreed: the number of figures that agreed.
        symptoms: the figures that did not; a smaller scenario must have one of them too.
        lines: the same for a reader.
    """

    def __init__(
        self, scenario: Scenario, agreed: int, symptoms: Mapping[FigurePath | str, str]
    ) -> None:
        self.scenario = scenario
        self.agreed = agreed
        self.symptoms = frozenset(symptoms)
        self.lines = list(symptoms.values())


def _try_all(
    scenarios: Sequence[Scenario], report: FuzzReport, kernel: str, time_limit: float | None
) -> list[_Outcome]:
    """Run each scenario on the model and on the kernel, without the steps that the kernel does not offer."""
    scenarios = [_without(scenario, report.left_out) for scenario in scenarios]
    runs = vm.run_each(scenarios, kernel, time_limit)
    ran = [run for run in runs if isinstance(run, Run)]
    for run in ran:
        report.kernel, report.linux, report.release = run.title, run.kernel, run.release
    lacking = {
        place: found
        for place, run in enumerate(runs)
        if (found := _not_done(scenarios[place], run))
    }
    report.left_out.update(*lacking.values())
    again = {}
    if lacking:
        rerun = _try_all([scenarios[place] for place in lacking], report, kernel, time_limit)
        again = dict(zip(lacking, rerun, strict=True))
    return [
        again[place] if place in again else _hold(scenario, run)
        for place, (scenario, run) in enumerate(zip(scenarios, runs, strict=True))
    ]


def _not_done(scenario: Scenario, run: Run | ThplabError) -> set[str]:
    """What the kernel did not offer to the steps of a scenario."""
    if not isinstance(run, Run):
        return set()
    return {_needed(scenario.steps[outcome.step]) for outcome in run.outcomes if not outcome.done}


def _needed(step: Step) -> str:
    """What a step needs of the kernel: "shrink", or "set" with its file."""
    return f"{step.__struct_config__.tag} {getattr(step, 'file', '')}".strip()


def _without(scenario: Scenario, left_out: Iterable[str]) -> Scenario:
    """The scenario without the steps that need what the kernel does not offer."""
    steps = tuple(step for step in scenario.steps if _needed(step) not in left_out)
    return msgspec.structs.replace(scenario, steps=steps)


def _hold(scenario: Scenario, kernel_run: Run | ThplabError) -> _Outcome:
    if isinstance(kernel_run, InputError):
        raise kernel_run
    if isinstance(kernel_run, ThplabError):
        return _Outcome(scenario, 0, {"no run": f"the kernel failed: {kernel_run}"})
    problem = unknown_design(kernel_run)
    if problem:
        raise InputError(f"{kernel_run.title}: {problem}")
    try:
        verification = verify_beside(scenario, kernel_run)
    except InputError as refusal:
        return _Outcome(scenario, 0, {"refused": f"the model refuses: {refusal}"})
    return _Outcome(scenario, verification.agreed, _symptoms(verification))


def _symptoms(verification: Verification) -> dict[FigurePath | str, str]:
    symptoms: dict[FigurePath | str, str] = {warning: warning for warning in verification.warnings}
    for one in verification.differences:
        symptoms.setdefault(one.figure, str(one))
    return symptoms


def _as_drawn(number: int, outcome: _Outcome) -> Finding:
    scenario = outcome.scenario
    return Finding(number=number, original=scenario, smallest=scenario, lines=outcome.lines)


def _reduce(
    number: int, first: _Outcome, try_all: Callable[[Sequence[Scenario]], list[_Outcome]]
) -> Finding:
    """Reduce a scenario; it keeps at least one of its first symptoms."""
    tried: list[tuple[Scenario, _Outcome]] = [(first.scenario, first)]

    def failing(candidates: Sequence[Scenario]) -> list[bool]:
        outcomes = try_all(candidates)
        tried.extend(zip(candidates, outcomes, strict=True))
        return [bool(outcome.symptoms & first.symptoms) for outcome in outcomes]

    smallest = reduce_scenario(first.scenario, failing)
    lines = next(outcome.lines for candidate, outcome in tried if candidate is smallest)
    return Finding(number=number, original=first.scenario, smallest=smallest, lines=lines)
