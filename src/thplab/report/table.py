# SPDX-License-Identifier: GPL-2.0-only
"""A Comparison for the terminal: the scenario's question, its claims, then what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from thplab.comparison.comparison import Column, Comparison, Moment
from thplab.comparison.merging import merged
from thplab.comparison.rows import Row
from thplab.report.grid import Grid
from thplab.report.happenings import happenings
from thplab.report.selection import worth_showing
from thplab.report.wording import (
    UNSEEN,
    claim_subject,
    claim_value,
    figure_words,
    value_texts,
)
from thplab.scenario.claims import ClaimResult
from thplab.scenario.schema import Claim

__all__ = ["comparison_table"]

_SECTIONS = ("regions", "cgroups", "nodes", "vmstat", "mthp", "khugepaged")
_MOMENT = "bold cyan"

_Line = tuple[Text, list[Text]]


def comparison_table(comparison: Comparison, *, everything: bool = False) -> Group:
    """The whole table.

    Args:
        comparison: what to show.
        everything: show also rows that are 0 or do not differ.
    """
    scenario, columns = comparison.scenario, comparison.columns
    claims = [
        (claim, [column.claims[index] for column in columns])
        for index, claim in enumerate(scenario.claims)
    ]
    moments = [(moment, _rows(moment, columns, everything)) for moment in comparison.moments]
    cells = [
        *([_verdict(result) for result in results] for _, results in claims),
        *(line[1] for _, rows in moments for row in rows for line in [_line(row)]),
    ]
    grid = Grid([column.title for column in columns], cells)
    parts: list[RenderableType] = [Text(scenario.name, style="bold"), Text(scenario.summary)]
    if claims:
        parts += [Text(), *_claims(grid, claims), grid.line(_tally(columns))]
    for moment, rows in moments:
        parts += [Text(), *_moment(grid, moment, rows, len(columns))]
    told = list(happenings(comparison))
    if told:
        parts += [Text(), *told]
    return Group(*parts)


# The claims.


def _claims(
    grid: Grid, claims: Sequence[tuple[Claim, list[ClaimResult]]]
) -> Iterator[RenderableType]:
    yield from grid.heading(Text("expected and found", style="bold"))
    for at, group in groupby(claims, key=lambda pair: pair[0].at):
        yield grid.line(Text(at, style=_MOMENT))
        for claim, results in group:
            about = Text(claim_subject(claim))
            yield grid.block([(about, [_verdict(result) for result in results])])
            if claim.why:
                yield grid.line(Text(claim.why, style="dim italic"), indent=4)


def _verdict(result: ClaimResult) -> Text:
    value = UNSEEN
    if result.actual is not None:
        value = claim_value(result.actual, result.claim.value)
    match result.verdict:
        case "held":
            return Text.assemble(value, (" held", "green"))
        case "failed":
            expected = f"\nexpected {result.expected}"
            return Text.assemble(value, (" FAILED", "bold red"), (expected, "red"))
        case "unstated":
            return Text.assemble(value, ("    -", "dim"))
        case "unseen":
            return Text.assemble(value, (" unseen", "yellow"))


def _tally(columns: Sequence[Column]) -> Text:
    """One line: how many expectations there are, held and failed."""
    verdicts = [result.verdict for column in columns for result in column.claims]
    stated = len(verdicts) - verdicts.count("unstated")
    if verdicts.count("held") == stated:
        return Text(f"All {stated} expectations held.", style="green")
    counts = (
        (verdicts.count("held"), "held", "green"),
        (verdicts.count("failed"), "FAILED", "bold red"),
        (verdicts.count("unseen"), "could not be seen", "yellow"),
    )
    texts = [Text(f"{count} {words}", style=style) for count, words, style in counts if count]
    return Text(f"Of {stated} expectations ") + Text(", ").join(texts) + Text(".")


# The figures.


def _rows(moment: Moment, columns: Sequence[Column], everything: bool) -> list[Row]:
    """The rows to show, section by section."""
    rows = moment.rows if everything else worth_showing(moment.rows, len(columns))
    chosen: list[Row] = []
    for section in _SECTIONS:
        of_section = [row for row in rows if row.path.section == section]
        chosen += of_section if everything else merged(of_section)
    return chosen


def _moment(
    grid: Grid, moment: Moment, rows: Sequence[Row], columns: int
) -> Iterator[RenderableType]:
    label = Text(moment.label, style=_MOMENT)
    if not rows:
        nothing = "nothing happened" if columns == 1 else "no difference"
        yield Text.assemble(label, (f": {nothing} in {len(moment.rows):,} figures", "dim"))
        return
    yield from grid.heading(label)
    for place, group in groupby(rows, key=_place):
        yield grid.line(Text(place, style="bold"))
        yield grid.block(_line(row) for row in group)


def _line(row: Row) -> _Line:
    texts = value_texts(row.values, row.unit)
    return (
        Text(figure_words(row.path)),
        [Text(text, style="dim" if text in {"0", UNSEEN} else "") for text in texts],
    )


def _place(row: Row) -> str:
    path = row.path
    if path.section in ("vmstat", "khugepaged"):
        return "the kernel's counters"
    if path.section == "mthp":
        return f"the kernel's counters for huge pages of {path.subject}"
    subject = path.subject if row.subjects == 1 else f"{path.subject} ({row.subjects})"
    node = "" if path.nid is None else f"node {path.nid}"
    return ", ".join(part for part in (subject, node) if part)
