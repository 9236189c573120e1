# SPDX-License-Identifier: GPL-2.0-only
"""Runs of one scenario, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import msgspec

from thplab.comparison.rows import Row, side_by_side
from thplab.comparison.settling import settles
from thplab.comparison.tolerances import DETERMINISTIC, Passes, rule_for
from thplab.mm.geometry import HPAGE_PMD_NR
from thplab.releases.release import Release
from thplab.scenario.claims import ClaimResult, evaluate
from thplab.scenario.figures import FigurePath
from thplab.scenario.host_facts import HostFacts
from thplab.scenario.observation import Observation, Run, StepOutcome
from thplab.scenario.rules import Rule
from thplab.scenario.schema import Scenario
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.observe import Observe
from thplab.scenario.steps.set import Set
from thplab.scenario.tunables import AWAKE

__all__ = ["Column", "Comparison", "Moment", "compare"]


class Column(msgspec.Struct, kw_only=True, frozen=True):
    """One Run: its heading, outcomes and complaints, and the result of each claim.

    Attributes:
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
    taken = [{observation.label: observation for observation in run.observations} for run in runs]
    labels = [step.label for step in scenario.steps if isinstance(step, Observe)]
    moments = tuple(
        Moment(
            label=label,
            rows=tuple(side_by_side(seen, _rules(scenario, runs, seen))),
        )
        for label in labels
        for seen in [[observations.get(label) for observations in taken]]
    )
    return Comparison(scenario=scenario, columns=columns, moments=moments)


def _rules(
    scenario: Scenario, runs: Sequence[Run], seen: Sequence[Observation | None]
) -> Callable[[FigurePath], Rule]:
    """The rules of one moment."""
    if all(run.backend == "model" for run in runs):
        return lambda _: DETERMINISTIC
    memory = sum(scenario.host.nodes)
    processes = len(scenario.tasks) + sum(isinstance(step, Fork) for step in scenario.steps)
    khugepaged = _passes(scenario, seen) if scenario.host.thp[AWAKE] else None
    group_kills = max((_group_kills(one) for one in seen if one is not None), default=0)

    @cache
    def rule_of(path: FigurePath) -> Rule:
        return rule_for(
            path,
            processes=processes,
            khugepaged=khugepaged,
            memory=memory,
            group_kills=group_kills,
        )

    return rule_of


def _group_kills(seen: Observation) -> int:
    """How often all tasks of a cgroup were killed together; a cgroup counts its descendants' too."""
    return sum(
        memory.events.oom_group_kill or 0
        for path, memory in seen.memory.items()
        if path.count("/") == 1
    )


def _passes(scenario: Scenario, seen: Sequence[Observation | None]) -> Passes:
    """How far khugepaged may have got further in one of these than in another."""
    if settles(scenario):
        return Passes(0, 0)
    clocks = [one.seconds for one in seen if one is not None]
    longer = max(clocks, default=0.0) - min(clocks, default=0.0)
    pass_pages = max(_values_of(scenario, "khugepaged/pages_to_scan"))
    sleep = max(min(_values_of(scenario, "khugepaged/scan_sleep_millisecs")), 1)
    possible = -(-pass_pages // HPAGE_PMD_NR) * (int(longer * 1000) // sleep + 1)
    made = [None if one is None else one.khugepaged.pages_collapsed for one in seen]
    known = [count for count in made if count is not None]
    more = max(known) - min(known) if len(known) == len(made) else possible
    return Passes(possible, more)


def _values_of(scenario: Scenario, file: str) -> list[int]:
    """The values that a file takes in the scenario."""
    later = [step.value for step in scenario.steps if isinstance(step, Set) and step.file == file]
    return [int(value) for value in (scenario.host.thp[file], *later)]
