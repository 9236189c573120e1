# SPDX-License-Identifier: GPL-2.0-only
"""Which rows a reader sees, and many like subjects as one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from thplab.compare.rows import Row

__all__ = ["MOST_SUBJECTS", "merged", "worth_showing"]

MOST_SUBJECTS = 12
"""Beyond as many cgroups or regions, those whose names differ only in digits become one row."""

_DIGITS = re.compile(r"[0-9]+")


def worth_showing(rows: Iterable[Row], columns: int) -> list[Row]:
    """The rows that answer something: what differs between columns; of one column, what is not 0."""
    return [
        row
        for row in rows
        if not row.quiet
        and (columns == 1 or (row.differs and not _kept_by_some_only(row)))
        and not _said_by_nodes(row)
    ]


def _kept_by_some_only(row: Row) -> bool:
    """A counter that one column does not have: a kernel has hundreds that the model has not."""
    return row.section in ("vmstat", "mthp") and None in row.values


def _said_by_nodes(row: Row) -> bool:
    """The root cgroup's memory is all memory, which the figures of the nodes show."""
    return row.section == "cgroups" and row.subject == "/" and row.unit == "bytes"


def merged(rows: Sequence[Row]) -> list[Row]:
    """The rows of a section; if it has very many subjects, "job000" to "job999" as "job*", summed.

    A path of a claim takes the same pattern.
    """
    if len({row.subject for row in rows}) <= MOST_SUBJECTS:
        return list(rows)
    groups: dict[tuple[str, int | None, str], list[Row]] = {}
    for row in rows:
        pattern = _DIGITS.sub("*", row.subject)
        groups.setdefault((pattern, row.node, row.figure), []).append(row)
    return [
        group[0] if len(group) == 1 else _summed(pattern, group)
        for (pattern, _, _), group in groups.items()
    ]


def _summed(pattern: str, rows: Sequence[Row]) -> Row:
    return msgspec.structs.replace(
        rows[0],
        subject=f"{pattern} ({len({row.subject for row in rows})})",
        values=tuple(
            None if None in column else sum(value for value in column if value is not None)
            for column in zip(*(row.values for row in rows), strict=True)
        ),
    )
