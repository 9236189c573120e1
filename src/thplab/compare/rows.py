# SPDX-License-Identifier: GPL-2.0-only
"""The figures of an Observation as rows, and the same rows of several Observations side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from thplab.compare.tolerances import Rule, judge
from thplab.scenario.figures import FIGURES, NODELESS, FigurePath, Unseen, read_figure
from thplab.scenario.observation import Observation

__all__ = ["Row", "Unit", "figure_paths", "side_by_side", "unit_of"]

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


class Row(msgspec.Struct, kw_only=True, frozen=True):
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
    paths: dict[FigurePath, None] = {}
    for observation in observations:
        if observation is not None:
            paths.update(dict.fromkeys(figure_paths(observation)))
    return [_row(path, observations, rule_of(path)) for path in paths]


def figure_paths(observation: Observation) -> Iterator[FigurePath]:
    """Each figure of an observation, in its order."""
    for subject, region in observation.regions.items():
        for nid in range(len(region.nodes)):
            for name in FIGURES["regions"]:
                if name not in NODELESS:
                    yield FigurePath("regions", subject, nid, name)
        for name in FIGURES["regions"]:
            if name in NODELESS:
                yield FigurePath("regions", subject, None, name)
    for subject, nodes in observation.cgroups.items():
        for nid in range(len(nodes)):
            for name in FIGURES["cgroups"]:
                yield FigurePath("cgroups", subject, nid, name)
    for nid in range(len(observation.nodes)):
        for name in FIGURES["nodes"]:
            yield FigurePath("nodes", "", nid, name)
    for name in observation.vmstat:
        yield FigurePath("vmstat", "", None, name)
    for size, counters in observation.mthp.items():
        for name in counters:
            yield FigurePath("mthp", size, None, name)


def _row(path: FigurePath, observations: Sequence[Observation | None], rule: Rule) -> Row:
    values: list[int | None] = []
    reasons: list[str] = []
    for observation in observations:
        figure = (
            Unseen("the observation was not taken")
            if observation is None
            else read_figure(observation, path)
        )
        values.append(None if isinstance(figure, Unseen) else figure)
        reasons.append(figure.reason if isinstance(figure, Unseen) else "")
    return Row(
        section=path.section,
        subject=path.subject,
        node=path.nid,
        figure=path.name,
        unit=unit_of(path.section, path.name),
        values=tuple(values),
        reasons=tuple(reasons) if any(reasons) else (),
        rule=rule,
        differs=_differs(values, rule),
        quiet=not any(values),
    )


def _differs(values: Sequence[int | None], rule: Rule) -> bool:
    seen = {value for value in values if value is not None}
    if seen and None in values:
        return True
    return len(seen) > 1 and judge(rule, min(seen), max(seen)) == "different"
