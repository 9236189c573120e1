# SPDX-License-Identifier: GPL-2.0-only
"""Checks the claims of a scenario on a Run."""

from __future__ import annotations

from typing import Literal

import msgspec

from thplab.scenario.conditions import Condition
from thplab.scenario.figures import Unseen, read_figure
from thplab.scenario.observation import Observation, Run
from thplab.scenario.schema import Claim, Scenario

__all__ = ["ClaimResult", "Verdict", "evaluate"]

Verdict = Literal["held", "failed", "unstated", "unseen"]
"""unstated: the claim says nothing about the design. unseen: the Run does not have the figure."""


class ClaimResult(msgspec.Struct, kw_only=True, frozen=True):
    """One claim on one Run.

    expected: the condition for the Run's design and release; None where the claim says nothing about it.
    actual: the figure; None if the Run does not have it, and `reason` says why.
    """

    claim: Claim
    expected: Condition | None
    actual: int | None
    verdict: Verdict
    reason: str = ""


def evaluate(scenario: Scenario, run: Run) -> list[ClaimResult]:
    """Check each claim of the scenario on the Run, in the scenario's order."""
    observations = {observation.label: observation for observation in run.observations}
    return [
        _evaluate(claim, claim.expect.of(run.design, run.release.name), observations)
        for claim in scenario.claims
    ]


def _evaluate(
    claim: Claim, expected: Condition | None, observations: dict[str, Observation]
) -> ClaimResult:
    actual = _actual(claim, observations)
    verdict: Verdict
    if expected is None:
        verdict = "unstated"
    elif isinstance(actual, Unseen):
        verdict = "unseen"
    else:
        verdict = "held" if expected.holds(actual) else "failed"
    return ClaimResult(
        claim=claim,
        expected=expected,
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
        figure = read_figure(observations[label], claim.value)
        if isinstance(figure, Unseen):
            return figure
        figures.append(figure)
    return figures[0] - sum(figures[1:])
