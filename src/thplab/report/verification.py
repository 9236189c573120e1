# SPDX-License-Identifier: GPL-2.0-only
"""Verifications and findings of fuzz as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from thplab.comparison.tolerances import Judgement
from thplab.comparison.verify import Verification
from thplab.scenario.written import encode_hook

__all__ = ["finding_text", "verification_json", "verification_text"]

_SHOWN = 40
_SHOWN_OF_FINDING = 12
_KINDS: tuple[tuple[Judgement, str], ...] = (
    ("equal", "equal"),
    ("within", "within tolerance"),
    ("different", "different"),
    ("incomparable", "not comparable"),
    ("unseen", "seen by one only"),
)


def verification_text(verifications: Iterable[Verification], *, everything: bool) -> str:
    """A line for each scenario, and one for each figure that differs, claim that failed, and warning."""
    lines: list[str] = []
    for one in verifications:
        counts = one.counts
        summary = ", ".join(f"{counts[kind]} {words}" for kind, words in _KINDS if counts[kind])
        verdict = "FAILED" if one.failed else "agrees"
        found = f" ({one.release.name} {one.release.design})" if one.release else ""
        lines.append(f"{verdict}  {one.scenario} on {one.kernel}{found}: {summary or 'no figures'}")
        shown = one.figures if everything else one.differences[:_SHOWN]
        for figure in shown:
            values = f"model {_value(figure.model)}, kernel {_value(figure.kernel)}"
            words = dict(_KINDS)[figure.judgement]
            lines.append(f"    {figure.moment}: {figure.figure}: {values}: {words} ({figure.why})")
        if not everything and len(one.differences) > _SHOWN:
            lines.append(f"    and {len(one.differences) - _SHOWN} more; --all shows them")
        lines.extend(f"    claim failed: {claim}" for claim in one.failed_claims)
        lines.extend(f"    warning: {warning}" for warning in one.warnings)
        if everything:
            lines.extend(f"    note: {note}" for note in one.notes)
    return "\n".join(lines) + "\n" if lines else ""


def verification_json(verifications: Sequence[Verification]) -> str:
    """All figures, each with its rule, as JSON; ends with a newline."""
    encoded = msgspec.json.encode(verifications, enc_hook=encode_hook)
    return msgspec.json.format(encoded).decode() + "\n"


def finding_text(number: int, steps: tuple[int, int], differs: Sequence[str], path: Path) -> str:
    """A random scenario on which model and kernel differ.

    Args:
        number: its place in the series.
        steps: the number of its steps, and of those of its smallest form.
        differs: the differences, a line each.
        path: the file of its smallest form.
    """
    lines = [f"scenario {number} differs; {steps[1]} of its {steps[0]} steps show it: {path}"]
    lines += [f"    {line}" for line in differs[:_SHOWN_OF_FINDING]]
    if len(differs) > _SHOWN_OF_FINDING:
        lines.append(f"    and {len(differs) - _SHOWN_OF_FINDING} more")
    return "\n".join(lines) + "\n"


def _value(value: int | None) -> str:
    return "-" if value is None else str(value)
