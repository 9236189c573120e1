# SPDX-License-Identifier: GPL-2.0-only
"""Runs of one scenario, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import msgspec

from thplab.comparison.rows import Row, side_by_side
from thplab.comparison.settling import settles
from thplab.comparison.tolerances import DETERMINISTIC, rule_for
from thplab.releases.release import Release
from thplab.scenario.claims import ClaimResult, evaluate
from thplab.scenario.figures import FigurePath
from thplab.scenario.host_facts import HostFacts
from thplab.scenario.observation import Run, StepOutcome
from thplab.scenario.rules import Rule
from thplab.scenario.schema import Scenario
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.observe import Observe
from thplab.scenario.tunables import AWAKE

__all__ = ["Column", "Comparison", "Moment", "compare"]


class Column(msgspec.Struct, kw_only=True, frozen=True):
    """One Run: its heading, outcomes and complaints, and the result of each claim.

    sees_all: it should have every figure, because it is a Run of the model as a release that lacks no
        step and no counter of the scenario.
    host: what its nodes had when the scenario began; None: those of the scenario.
    """

    title: str
    backend: str
    release: Release
    kernel: str
    claims: tuple[ClaimResult, ...]
    outcomes: tuple[StepOutcome, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    sees_all: bool = False
    host: HostFacts | None = None


class Moment(msgspec.Struct, kw_only=True, frozen=True):
    """One observation of the scenario: its figures, a value for each column."""

    label: str
    rows: tuple[Row, ...]


class Comparison(msgspec.Struct, kw_only=True, frozen=True):
    """A scenario's Runs, figure by figure."""

    scenario: Scenario
    columns: tuple[Column, ...]
    moments: tuple[Moment, ...]

    @property
    def broken(self) -> bool:
        """True if a claim failed, a backend warned, or a claim asks for a figure that a column should have
        and does not have.
        """
        return any(column.warnings or _broken_claims(column) for column in self.columns)


def _broken_claims(column: Column) -> bool:
    broken = {"failed", "unseen"} if column.sees_all else {"failed"}
    return any(result.verdict in broken for result in column.claims)


def compare(scenario: Scenario, runs: Sequence[Run]) -> Comparison:
    """Set Runs of `scenario` side by side, in the order given."""
    columns = tuple(
        Column(
            title=run.title,
            backend=run.backend,
            release=run.release,
            kernel=run.kernel,
            claims=tuple(evaluate(scenario, run)),
            outcomes=tuple(run.outcomes),
            warnings=tuple(run.warnings),
            notes=tuple(run.notes),
            host=run.host,
            sees_all=run.backend == "model" and not any(seen.missing for seen in run.observations),
        )
        for run in runs
    )
    rule_of = _rules(scenario, runs)
    taken = [{observation.label: observation for observation in run.observations} for run in runs]
    labels = [step.label for step in scenario.steps if isinstance(step, Observe)]
    moments = tuple(
        Moment(
            label=label,
            rows=tuple(side_by_side([observations.get(label) for observations in taken], rule_of)),
        )
        for label in labels
    )
    return Comparison(scenario=scenario, columns=columns, moments=moments)


def _rules(scenario: Scenario, runs: Sequence[Run]) -> Callable[[FigurePath], Rule]:
    if all(run.backend == "model" for run in runs):
        return lambda _: DETERMINISTIC
    awake = bool(scenario.host.thp[AWAKE]) and not settles(scenario)
    processes = len(scenario.tasks) + sum(isinstance(step, Fork) for step in scenario.steps)

    @cache
    def rule_of(path: FigurePath) -> Rule:
        return rule_for(path, processes=processes, khugepaged_awake=awake)

    return rule_of
