# SPDX-License-Identifier: GPL-2.0-only
"""Claims of a scenario, held against a Run."""

from __future__ import annotations

from typing import Literal

import msgspec

from thplab.scenario.conditions import parse_condition
from thplab.scenario.figures import Unseen, parse_figure, read_figure
from thplab.scenario.observation import Observation, Run
from thplab.scenario.schema import Claim, Scenario

__all__ = ["ClaimResult", "Verdict", "evaluate", "expectation"]

Verdict = Literal["held", "failed", "unstated", "unseen"]
"""unstated: the claim says nothing about the design. unseen: the Run does not have the figure."""


class ClaimResult(msgspec.Struct, kw_only=True, frozen=True):
    """One claim on one Run.

    expectation: the condition for the Run's design; None where the claim says nothing about it.
    actual: the figure that was found; None where it was not seen, and `reason` says why.
    """

    claim: Claim
    design: str
    expectation: str | None
    actual: int | None
    verdict: Verdict
    reason: str = ""


def evaluate(scenario: Scenario, run: Run) -> list[ClaimResult]:
    """Hold each claim of the scenario against the Run, in the scenario's order."""
    observations = {observation.label: observation for observation in run.observations}
    return [_evaluate(claim, run.design, observations) for claim in scenario.claims]


def expectation(claim: Claim, design: str) -> str | None:
    """What the claim expects of the design; None if it says nothing about it."""
    if isinstance(claim.expect, str):
        return claim.expect
    return claim.expect.get(design, claim.expect.get("*"))


def _evaluate(claim: Claim, design: str, observations: dict[str, Observation]) -> ClaimResult:
    expected = expectation(claim, design)
    actual = _actual(claim, observations)
    verdict: Verdict
    if expected is None:
        verdict = "unstated"
    elif isinstance(actual, Unseen):
        verdict = "unseen"
    else:
        verdict = "held" if parse_condition(expected)(actual) else "failed"
    return ClaimResult(
        claim=claim,
        design=design,
        expectation=expected,
        actual=None if isinstance(actual, Unseen) else actual,
        verdict=verdict,
        reason=actual.reason if isinstance(actual, Unseen) else "",
    )


def _actual(claim: Claim, observations: dict[str, Observation]) -> int | Unseen:
    """The figure at the claim's observation, less that of `since` if there is one."""
    figures: list[int] = []
    for label in (claim.at, claim.since):
        if label is None:
            continue
        if label not in observations:
            return Unseen(f'the observation "{label}" was not taken')
        figure = read_figure(observations[label], parse_figure(claim.value))
        if isinstance(figure, Unseen):
            return figure
        figures.append(figure)
    return figures[0] - sum(figures[1:])
