# SPDX-License-Identifier: GPL-2.0-only
"""Compares the model with a kernel, figure by figure of a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from thplab.comparison.comparison import compare
from thplab.comparison.known_differences import known_difference
from thplab.comparison.rows import Row
from thplab.comparison.tolerances import Judgement, judge
from thplab.releases.release import Release
from thplab.scenario.figures import FigurePath
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

__all__ = ["Verification", "VerifiedFigure", "not_verified", "verify"]

_MODEL, _KERNEL = 0, 1


class VerifiedFigure(msgspec.Struct, kw_only=True, frozen=True):
    """One figure at one moment.

    why: the reason for the rule, or why one of the two did not see the figure.
    """

    moment: str
    figure: FigurePath
    model: int | None
    kernel: int | None
    judgement: Judgement
    why: str


class Verification(msgspec.Struct, kw_only=True, frozen=True):
    """One scenario on the model and on a kernel.

    Attributes:
        scenario: its name.
        kernel: the title of the kernel's column.
        release: that of the kernel and of the model; None if the probe did not find it.
        warnings: the complaints of the model and of the kernel.
        failed_claims: the claims of the scenario that failed, with the column.
    """

    scenario: str
    kernel: str
    release: Release | None
    figures: tuple[VerifiedFigure, ...]
    warnings: tuple[str, ...]
    failed_claims: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def counts(self) -> Counter[Judgement]:
        """The number of figures of each judgement."""
        return Counter(figure.judgement for figure in self.figures)

    @property
    def differences(self) -> list[VerifiedFigure]:
        """The figures that should agree and do not."""
        return [figure for figure in self.figures if figure.judgement == "different"]

    @property
    def failed(self) -> bool:
        """True if model and kernel disagree, a claim failed, or one of the two complained."""
        return bool(self.differences or self.warnings or self.failed_claims)


def verify(scenario: Scenario, model_run: Run, kernel_run: Run) -> Verification:
    """Compare the model's Run of a scenario with the kernel's.

    Args:
        scenario: what both ran.
        model_run: as the kernel's release, on the kernel's design.
        kernel_run: from a virtual machine or a host.
    """
    comparison = compare(scenario, [model_run, kernel_run])
    claims = [
        f"{column.title}: at {result.claim.at}, {result.claim.value} is {result.actual}, "
        f"the claim is {result.expected}"
        for column in comparison.columns
        for result in column.claims
        if result.verdict == "failed"
    ]
    return Verification(
        scenario=scenario.name,
        kernel=kernel_run.title,
        release=kernel_run.release,
        figures=tuple(
            _figure(moment.label, row, scenario, kernel_run)
            for moment in comparison.moments
            for row in moment.rows
        ),
        warnings=tuple(_complaints(comparison.columns[_MODEL].warnings, "model"))
        + tuple(_complaints(comparison.columns[_KERNEL].warnings, "kernel")),
        failed_claims=tuple(claims),
        notes=tuple(kernel_run.notes),
    )


def not_verified(scenario: Scenario, kernel: str, problem: str) -> Verification:
    """The Verification of a scenario during which the kernel failed."""
    return Verification(
        scenario=scenario.name,
        kernel=kernel,
        release=None,
        figures=(),
        warnings=tuple(_complaints([problem], "kernel")),
        failed_claims=(),
        notes=(),
    )


def _complaints(warnings: Sequence[str], whose: str) -> list[str]:
    return [f"{whose}: {warning}" for warning in warnings]


def _figure(label: str, row: Row, scenario: Scenario, run: Run) -> VerifiedFigure:
    model, kernel = row.values
    judgement = judge(row.rule, model, kernel)
    why = row.rule.why
    if judgement == "unseen":
        whose = [
            f"{name}: {reason}"
            for name, reason in zip(("model", "kernel"), row.reasons, strict=True)
            if reason
        ]
        why = "; ".join(whose)
    elif judgement == "different":
        known = known_difference(scenario, run.release, row.path)
        if known is not None:
            judgement, why = "incomparable", f"known difference: {known.why}"
    return VerifiedFigure(
        moment=label,
        figure=row.path,
        model=model,
        kernel=kernel,
        judgement=judgement,
        why=why,
    )
