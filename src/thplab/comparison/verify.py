# SPDX-License-Identifier: GPL-2.0-only
"""Compares the model with a kernel, figure by figure of a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from thplab import designs
from thplab.comparison.comparison import compare
from thplab.comparison.known_differences import known_difference
from thplab.comparison.rows import Row
from thplab.comparison.tolerances import Judgement, judge
from thplab.releases.release import Release
from thplab.scenario.figures import FigurePath
from thplab.scenario.host_facts import HostFacts
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

__all__ = [
    "Verification",
    "VerifiedFigure",
    "not_compared",
    "not_verified",
    "refusals",
    "unknown_design",
    "verify",
]

_MODEL, _KERNEL = 0, 1


class VerifiedFigure(msgspec.Struct, kw_only=True, frozen=True):
    """One figure at one moment.

    why: the reason for the rule, or why one of the two did not see the figure.
    known: it differs, and why says the known cause.
    tolerance: that of its rule, in its own unit.
    """

    moment: str
    figure: FigurePath
    model: int | None
    kernel: int | None
    judgement: Judgement
    why: str
    known: bool = False
    tolerance: int = 0

    def __str__(self) -> str:
        values = ("-" if value is None else value for value in (self.model, self.kernel))
        return "{}: {}: model {}, kernel {}".format(self.moment, self.figure, *values)


class Verification(msgspec.Struct, kw_only=True, frozen=True):
    """One scenario on the model and on a kernel.

    Attributes:
        scenario: its name.
        kernel: the title of the kernel's column.
        release: that of the kernel and of the model; None if the kernel did not get that far.
        linux: the kernel's uname -r; "" if it did not get that far.
        warnings: the complaints of the model and of the kernel.
        failed_claims: the claims of the scenario that failed, with the column.
        not_compared: why model and kernel could not be compared; "" if they were.
        host: what the kernel's nodes had, and the model's; None: unknown.
        refusals: the steps that one of the two refuses, and the other does not or for another reason.
    """

    scenario: str
    kernel: str
    release: Release | None
    figures: tuple[VerifiedFigure, ...]
    warnings: tuple[str, ...]
    failed_claims: tuple[str, ...]
    notes: tuple[str, ...]
    linux: str = ""
    not_compared: str = ""
    host: HostFacts | None = None
    refusals: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[Judgement]:
        """The number of figures of each judgement."""
        return Counter(figure.judgement for figure in self.figures)

    @property
    def differences(self) -> list[VerifiedFigure]:
        """The figures that should agree and do not."""
        return [figure for figure in self.figures if figure.judgement == "different"]

    @property
    def agreed(self) -> int:
        """The number of figures that agree, exactly or within a tolerance."""
        return self.counts["equal"] + self.counts["within"]

    @property
    def empty(self) -> bool:
        """True if there was no figure that could agree or differ."""
        return not self.agreed and not self.differences

    @property
    def complaints(self) -> list[str]:
        """What is wrong, a line each: figures that differ, steps that one refuses, claims that failed, warnings."""
        refusals = (f"differs: {refusal}" for refusal in self.refusals)
        claims = (f"claim failed: {claim}" for claim in self.failed_claims)
        warnings = (f"warning: {warning}" for warning in self.warnings)
        return [*map(str, self.differences), *refusals, *claims, *warnings]

    @property
    def failed(self) -> bool:
        """True if model and kernel disagree, a claim failed, or one of the two complained."""
        return bool(self.differences or self.refusals or self.warnings or self.failed_claims)


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
        linux=kernel_run.kernel,
        host=kernel_run.host,
        refusals=tuple(
            f"{scenario.where(step)}: {texts}"
            for step, texts in refusals(model_run, kernel_run).items()
        ),
    )


def unknown_design(kernel_run: Run) -> str:
    """Why the model cannot do as this kernel: the probe did not find its design; "" if it did."""
    if kernel_run.release.design in designs.names():
        return ""
    how = "; ".join(note for note in kernel_run.notes if note.startswith("design "))
    return f"the design of its deferred split queue is unknown, so there is no model of it ({how})"


def refusals(model_run: Run, kernel_run: Run) -> dict[int, str]:
    """The steps that one of the two refuses, and the other does not or for another reason, with both reasons."""
    model, kernel = (
        {one.step: one.text for one in run.outcomes if one.text.startswith("refused")}
        for run in (model_run, kernel_run)
    )
    found = {}
    for step in sorted(model.keys() | kernel.keys()):
        texts = [refused.get(step, "not refused") for refused in (model, kernel)]
        if texts[0] != texts[1]:
            found[step] = f"model {texts[0]}, kernel {texts[1]}"
    return found


def not_verified(scenario: Scenario, kernel: str, problem: str) -> Verification:
    """The Verification of a scenario during which the kernel failed."""
    failed = not_compared(scenario.name, kernel, "")
    return msgspec.structs.replace(failed, warnings=tuple(_complaints([problem], "kernel")))


def not_compared(scenario: str, kernel: str, why: str) -> Verification:
    """The Verification of a scenario that cannot be used, or not on this kernel."""
    return Verification(
        scenario=scenario,
        kernel=kernel,
        release=None,
        figures=(),
        warnings=(),
        failed_claims=(),
        notes=(),
        not_compared=why,
    )


def _complaints(warnings: Sequence[str], whose: str) -> list[str]:
    return [f"{whose}: {warning}" for warning in warnings]


def _figure(label: str, row: Row, scenario: Scenario, run: Run) -> VerifiedFigure:
    model, kernel = row.values
    judgement = judge(row.rule, model, kernel)
    why, known = row.rule.why, None
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
        known=known is not None,
        tolerance=row.rule.tolerance,
    )
