# SPDX-License-Identifier: GPL-2.0-only
"""Runs random scenarios on the model and on a kernel, which must agree figure by figure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import msgspec

from thplab.backends import model, vm
from thplab.backends.errors import KernelRunError
from thplab.comparison.verify import Verification, verify
from thplab.scenario.figures import FigurePath
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario
from thplab.sweep.random_scenarios import random_scenario
from thplab.sweep.reduce import reduce_scenario

__all__ = ["Finding", "FuzzReport", "fuzz"]

_BATCH = 100
"""Scenarios that share a boot."""


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
    seed: int
    count: int
    figures: int
    """The number of figures that agreed, exactly or within a tolerance."""
    findings: list[Finding]


def fuzz(
    kernel: str,
    count: int,
    seed: int,
    progress: Callable[[int], None],
    time_limit: float | None = None,
) -> FuzzReport:
    """Run random scenarios in batches, and reduce each that shows a difference.

    Args:
        kernel: see :func:`thplab.backends.kernel_image.find_kernel`.
        count: how many.
        seed: of the series; the same seed gives the same scenarios.
        progress: called with the number of completed scenarios.
        time_limit: see :func:`thplab.backends.vm.run_each`.

    Raises:
        InputError: thplab cannot boot the kernel here.
    """
    try_all = functools.partial(_try_all, kernel=kernel, time_limit=time_limit)
    report = FuzzReport(kernel=kernel, seed=seed, count=count, figures=0, findings=[])
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        scenarios = [random_scenario(seed, number) for number in numbers]
        outcomes = try_all(scenarios)
        for number, scenario, outcome in zip(numbers, scenarios, outcomes, strict=True):
            report.figures += outcome.agreed
            if outcome.symptoms:
                report.findings.append(_reduce(number, scenario, outcome, try_all))
        progress(numbers.stop)
    return report


class _Outcome:
    """The result of one scenario.

    Attributes:
        agreed: the number of figures that agreed.
        symptoms: the figures that did not; a smaller scenario must have one of them too.
        lines: the same for a reader.
    """

    def __init__(self, agreed: int, symptoms: Mapping[FigurePath | str, str]) -> None:
        self.agreed = agreed
        self.symptoms = frozenset(symptoms)
        self.lines = list(symptoms.values())


def _try_all(
    scenarios: Sequence[Scenario], kernel: str, time_limit: float | None
) -> list[_Outcome]:
    """Run each scenario on the model and on the kernel."""
    runs = vm.run_each(scenarios, kernel, time_limit)
    return [_hold(scenario, run) for scenario, run in zip(scenarios, runs, strict=True)]


def _hold(scenario: Scenario, kernel_run: Run | KernelRunError) -> _Outcome:
    if isinstance(kernel_run, KernelRunError):
        return _Outcome(0, {"no run": f"the kernel failed: {kernel_run}"})
    verification = verify(scenario, model.run(scenario, release=kernel_run.release), kernel_run)
    counts = verification.counts
    return _Outcome(counts["equal"] + counts["within"], _symptoms(verification))


def _symptoms(verification: Verification) -> dict[FigurePath | str, str]:
    symptoms: dict[FigurePath | str, str] = {warning: warning for warning in verification.warnings}
    for one in verification.differences:
        symptoms.setdefault(
            one.figure, f"{one.moment}: {one.figure}: model {one.model}, kernel {one.kernel}"
        )
    return symptoms


def _reduce(
    number: int,
    scenario: Scenario,
    first: _Outcome,
    try_all: Callable[[Sequence[Scenario]], list[_Outcome]],
) -> Finding:
    """Reduce a scenario; it keeps at least one of its first symptoms."""
    tried: list[tuple[Scenario, _Outcome]] = [(scenario, first)]

    def failing(candidates: Sequence[Scenario]) -> list[bool]:
        outcomes = try_all(candidates)
        tried.extend(zip(candidates, outcomes, strict=True))
        return [bool(outcome.symptoms & first.symptoms) for outcome in outcomes]

    smallest = reduce_scenario(scenario, failing)
    lines = next(outcome.lines for candidate, outcome in tried if candidate is smallest)
    return Finding(number=number, original=scenario, smallest=smallest, lines=lines)
