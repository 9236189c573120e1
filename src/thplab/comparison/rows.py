# SPDX-License-Identifier: GPL-2.0-only
"""The figures of an Observation as rows, and the same rows of several Observations side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from thplab.comparison.tolerances import judge
from thplab.scenario.figures import FigurePath, Unseen, all_figures, read_figure
from thplab.scenario.observation import FIGURES, Observation
from thplab.scenario.rules import Rule, Unit

__all__ = ["Row", "side_by_side", "unit_of"]


class Row(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One figure, with a value for each column.

    path: the figure, as a claim would name it.
    values: None if the column's backend did not see it.
    reasons: why not, by column; "" for a column that has the value; empty if all have it.
    rule: how to compare the values.
    differs: by that rule two columns differ, or one column has the figure and another does not.
    quiet: nothing happened: every value is 0 or None.
    subjects: the number of cgroups or regions of which it is the sum.
    """

    path: FigurePath
    values: tuple[int | None, ...]
    reasons: tuple[str, ...] = ()
    rule: Rule
    differs: bool
    quiet: bool
    subjects: int = 1

    @property
    def unit(self) -> Unit:
        """What the figure counts."""
        return unit_of(self.path)


def unit_of(path: FigurePath) -> Unit:
    """What a figure counts: the counters of the kernel count events."""
    figure = FIGURES.get(path.section, {}).get(path.name)
    return "events" if figure is None else figure.unit


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
        path=path,
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
