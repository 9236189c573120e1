# SPDX-License-Identifier: GPL-2.0-only
"""Which rows the table shows."""

from __future__ import annotations

from collections.abc import Iterable

from thplab.comparison.rows import Row
from thplab.scenario.observation import FIGURES

__all__ = ["worth_showing"]


def worth_showing(rows: Iterable[Row], columns: int) -> list[Row]:
    """The rows that differ between columns; of a single column, those that are not 0. Neither those that others
    say as well.
    """
    return [
        row
        for row in rows
        if not row.quiet
        and (columns == 1 or (row.differs and not _kept_by_some_only(row)))
        and not _said_by_nodes(row)
        and not _details(row, columns)
    ]


def _details(row: Row, columns: int) -> bool:
    """Whether it is a detail of a cgroup, or, of a single column, what its memory by node says nearly as well."""
    figure = FIGURES.get(row.path.section, {}).get(row.path.name)
    if figure is None:
        return False
    return figure.quiet or (columns == 1 and figure.below_root)


def _kept_by_some_only(row: Row) -> bool:
    """Whether a column lacks the counter: a kernel has hundreds that the model does not have."""
    return row.path.section in ("vmstat", "mthp") and None in row.values


def _said_by_nodes(row: Row) -> bool:
    """Whether it is the root cgroup's memory, which is all memory, as the figures of the nodes show."""
    return row.path.section == "cgroups" and row.path.subject == "/" and row.unit == "bytes"
