# SPDX-License-Identifier: GPL-2.0-only
"""Verifications and findings of fuzz as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from thplab.comparison.record import FuzzRecord
from thplab.comparison.tolerances import Judgement
from thplab.comparison.verify import Verification
from thplab.scenario.written import encode_hook

__all__ = ["finding_text", "series_text", "summary_text", "verification_json", "verification_text"]

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
        if one.not_compared:
            continue  # the summary has it
        counts = one.counts
        summary = ", ".join(
            f"{counts[kind]} {words}" for kind, words in _KINDS if counts[kind] and kind != "unseen"
        )
        found = f" ({one.release.name} {one.release.design})" if one.release else ""
        lines.append(
            f"{_verdict(one)}  {one.scenario} on {one.kernel}{found}: {summary or 'no figures'}"
        )
        shown = one.figures if everything else one.differences[:_SHOWN]
        lines.extend(
            f"    {figure}: {dict(_KINDS)[figure.judgement]} ({figure.why})" for figure in shown
        )
        if not everything and len(one.differences) > _SHOWN:
            lines.append(f"    and {len(one.differences) - _SHOWN} more; --all shows them")
        lines.extend(f"    {line}" for line in one.complaints[len(one.differences) :])
        if everything:
            lines.extend(f"    note: {note}" for note in one.notes)
    return "\n".join(lines) + "\n" if lines else ""


def _verdict(one: Verification) -> str:
    if one.failed:
        return "FAILED"
    return "EMPTY " if one.empty else "agrees"


def summary_text(verifications: Iterable[Verification]) -> str:
    """A line for each kernel, which says how many agree and which do not, and one for each reason not to compare."""
    lines: list[str] = []
    kernels: dict[str, list[Verification]] = {}
    for one in verifications:
        kernels.setdefault(one.kernel, []).append(one)
    for kernel, held in kernels.items():
        compared = [one for one in held if not one.not_compared]
        failed = [one.scenario for one in compared if one.failed]
        empty = [one.scenario for one in compared if one.empty and not one.failed]
        agree = len(compared) - len(failed) - len(empty)
        if compared:
            parts = [f"{kernel}: {agree} of {len(held)} agree"]
            parts += [f"{', '.join(failed)}: FAILED"] if failed else []
            parts += [f"{', '.join(empty)}: no figure could be compared"] if empty else []
            lines.append("; ".join(parts))
        reasons: dict[str, list[str]] = {}
        for one in held:
            if one.not_compared:
                reasons.setdefault(one.not_compared, []).append(one.scenario)
        for reason, names in reasons.items():
            which = "all" if len(names) == len(held) else ", ".join(names)
            lines.append(f"{kernel}: not compared ({which}): {reason}")
    return "\n".join(lines) + "\n"


def verification_json(verifications: Sequence[Verification]) -> str:
    """All figures, each with its rule, as JSON; ends with a newline."""
    encoded = msgspec.json.encode(verifications, enc_hook=encode_hook)
    return msgspec.json.format(encoded).decode() + "\n"


def series_text(kernel: str, series: FuzzRecord) -> str:
    """How many scenarios of a series agree, differ, and compared nothing."""
    agree = series.count - len(series.differ) - series.empty
    text = (
        f"{series.count} scenarios of seed {series.seed} on {kernel}: {agree} agree in "
        f"{series.figures} figures, {len(series.differ)} differ"
    )
    if series.empty:
        text += f", {series.empty} compared nothing"
    if series.left_out:
        text += f"; without {', '.join(series.left_out)}, which this kernel does not offer"
    return text + "\n"


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
