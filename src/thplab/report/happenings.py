# SPDX-License-Identifier: GPL-2.0-only
"""Outcomes of steps, warnings, notes, and why figures are unseen, as lines below the table."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from thplab.comparison.comparison import Comparison
from thplab.report.selection import worth_showing
from thplab.report.wording import UNSEEN, figure_words

__all__ = ["happenings"]

MOST_OUTCOMES = 8
MOST_REASONS = 8


def happenings(comparison: Comparison) -> Iterator[Text]:
    """A line for each; it cuts long lists, because the JSON has them whole."""
    yield from _outcomes(comparison)
    for column in comparison.columns:
        for note in column.notes:
            yield Text(f"{column.title}: {note}", style="dim")
    for reason in _reasons(comparison):
        yield Text(f"{UNSEEN}  {reason}", style="dim")
    for column in comparison.columns:
        for warning in column.warnings:
            yield Text(f"{column.title} complained: {warning}", style="bold red")


def _outcomes(comparison: Comparison) -> Iterator[Text]:
    where = comparison.scenario.where
    by_column = [
        (f"{column.title}, ", [f"{where(o.step)}: {o.text}" for o in column.outcomes])
        for column in comparison.columns
    ]
    if len({tuple(outcomes) for _, outcomes in by_column}) == 1:
        by_column = [("", by_column[0][1])]
    for title, outcomes in by_column:
        for outcome in outcomes[:MOST_OUTCOMES]:
            yield Text(title + outcome)
        if len(outcomes) > MOST_OUTCOMES:
            yield Text(f"{title}and {len(outcomes) - MOST_OUTCOMES} more steps with an outcome")


def _reasons(comparison: Comparison) -> list[str]:
    """Why figures that the reader asks for are unseen: each reason once, after all its figures."""
    figures: dict[tuple[str, str], dict[str, None]] = {}
    columns = len(comparison.columns)
    shown = [row for moment in comparison.moments for row in worth_showing(moment.rows, columns)]
    for column_index, column in enumerate(comparison.columns):
        for result in column.claims:
            if result.verdict == "unseen":
                figures.setdefault((column.title, result.reason), {})[str(result.claim.value)] = (
                    None
                )
        for row in shown:
            if row.reasons and row.reasons[column_index]:
                reason = row.reasons[column_index]
                figures.setdefault((column.title, reason), {})[figure_words(row.path)] = None
    reasons = [
        f"{title}: {', '.join(words)}: {reason}" for (title, reason), words in figures.items()
    ]
    return reasons[:MOST_REASONS]
