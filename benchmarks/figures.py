# SPDX-License-Identifier: GPL-2.0-only
"""Medians with their spread, and the table that sets them beside what is wanted."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from variants import OPERATIONS, Sample

__all__ = ["Goal", "Spread", "goals_table", "operations_table", "spread_of", "spreads"]


@dataclass(frozen=True)
class Spread:
    """The median of repeated measurements, and their extremes."""

    low: float
    median: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.low:.0f} {self.median:.0f} {self.high:.0f}"


@dataclass(frozen=True)
class Goal:
    """One thing wanted, beside what was reached.

    Attributes:
        at_least: whether more is better.
    """

    name: str
    wanted: float
    reached: float
    unit: str = "times"
    at_least: bool = False

    def held(self, margin: float = 1.0) -> bool:
        """Whether it is reached, or missed by less than the factor `margin`."""
        if self.at_least:
            return self.reached * margin >= self.wanted
        return self.reached <= self.wanted * margin

    def as_json(self) -> dict[str, object]:
        """With the verdict."""
        return {**asdict(self), "held": self.held()}


def spread_of(values: Iterable[float]) -> Spread:
    """The spread of at least one value."""
    ordered = sorted(values)
    return Spread(ordered[0], statistics.median(ordered), ordered[-1], len(ordered))


def spreads(samples: Sequence[Sample]) -> dict[str, Spread]:
    """Each operation's spread over all rounds of all processes."""
    return {
        operation: spread_of(round_[operation] for sample in samples for round_ in sample.rounds)
        for operation in OPERATIONS
    }


def lines_of(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need to be: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def operations_table(folios: int, measured: dict[str, dict[str, Spread]]) -> str:
    """One size: a row for each operation, low median high in ns, and the two ratios of medians."""
    rows = [["", "C", "compiled", "interpreted", "compiled/C", "interpreted/compiled"]]
    for operation in OPERATIONS:
        c, compiled, interpreted = (
            measured[name][operation] for name in ("c", "compiled", "interpreted")
        )
        rows.append(
            [
                operation,
                str(c),
                str(compiled),
                str(interpreted),
                f"{compiled.median / c.median:.1f}",
                f"{interpreted.median / compiled.median:.1f}",
            ]
        )
    heading = f"{folios:,} folios: ns for each (low median high); reparent: for each sublist"
    return "\n".join([heading, *lines_of(rows)])


def goals_table(goals: Sequence[Goal]) -> str:
    """What was wanted, what was reached, and whether it is enough."""
    rows = [["", "wanted", "reached", ""]]
    for goal in goals:
        sign = ">=" if goal.at_least else "<="
        rows.append(
            [
                goal.name,
                f"{sign} {goal.wanted:g} {goal.unit}",
                f"{goal.reached:.2f} {goal.unit}"
                if goal.reached < 10
                else f"{goal.reached:.0f} {goal.unit}",
                "" if goal.held() else "MISSED",
            ]
        )
    return "\n".join(lines_of(rows))
