# SPDX-License-Identifier: GPL-2.0-only
"""The figures of an Observation as rows, and the same rows of several Observations side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from thplab.compare.tolerances import Rule, judge
from thplab.scenario.figures import FigurePath, Unseen, all_figures, read_figure
from thplab.scenario.observation import Observation

__all__ = ["Row", "Unit", "side_by_side", "unit_of"]

Unit = Literal["bytes", "pages", "huge pages", "events"]

_UNITS: dict[str, Unit] = {
    "nodes.free": "bytes",
    "nodes.anon": "bytes",
    "nodes.huge": "bytes",
    "cgroups.anon": "bytes",
    "cgroups.huge": "bytes",
    "cgroups.queue": "huge pages",
    "regions.huge": "huge pages",
    "regions.split": "huge pages",
    "regions.base": "pages",
    "regions.zero": "pages",
    "regions.swapped": "pages",
    "regions.absent": "pages",
}


class Row(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One figure, with a value for each column.

    values: None where the column's backend did not see it.
    reasons: why not, by column; empty text where the value is there; empty if all are there.
    rule: how the values may be held against each other.
    differs: by that rule two columns are different, or one has the figure and another has not.
    quiet: nothing happened: every value that was seen is 0.
    """

    section: str
    subject: str
    node: int | None
    figure: str
    unit: Unit
    values: tuple[int | None, ...]
    reasons: tuple[str, ...] = ()
    rule: Rule
    differs: bool
    quiet: bool

    @property
    def path(self) -> FigurePath:
        """The row's figure as a claim would name it."""
        return FigurePath(self.section, self.subject, self.node, self.figure)


def unit_of(section: str, figure: str) -> Unit:
    """What a figure counts: the counters of the kernel count events."""
    return _UNITS.get(f"{section}.{figure}", "events")


def side_by_side(
    observations: Sequence[Observation | None], rule_of: Callable[[FigurePath], Rule]
) -> list[Row]:
    """The rows of one moment in each column; None for a column that does not have the moment."""
    columns = [
        {} if observation is None else dict(all_figures(observation))
        for observation in observations
    ]
    paths = dict.fromkeys(path for column in columns for path in column)
    return [
        _row(path, [column.get(path) for column in columns], observations, rule_of(path))
        for path in paths
    ]


def _row(
    path: FigurePath,
    values: Sequence[int | None],
    observations: Sequence[Observation | None],
    rule: Rule,
) -> Row:
    return Row(
        section=path.section,
        subject=path.subject,
        node=path.nid,
        figure=path.name,
        unit=unit_of(path.section, path.name),
        values=tuple(values),
        reasons=_reasons(path, values, observations) if None in values else (),
        rule=rule,
        differs=_differs(values, rule),
        quiet=not any(values),
    )


def _reasons(
    path: FigurePath, values: Sequence[int | None], observations: Sequence[Observation | None]
) -> tuple[str, ...]:
    reasons = []
    for value, observation in zip(values, observations, strict=True):
        if value is not None:
            reasons.append("")
        elif observation is None:
            reasons.append("the observation was not taken")
        else:
            figure = read_figure(observation, path)
            reasons.append(figure.reason if isinstance(figure, Unseen) else "")
    return tuple(reasons)


def _differs(values: Sequence[int | None], rule: Rule) -> bool:
    if values.count(values[0]) == len(values):
        return False
    seen = [value for value in values if value is not None]
    return len(seen) < len(values) or judge(rule, min(seen), max(seen)) == "different"
