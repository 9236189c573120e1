# SPDX-License-Identifier: GPL-2.0-only
"""Sums the rows of many similar subjects: "job000" to "job999" become one row, "job*"."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from thplab.comparison.rows import Row
from thplab.scenario.figures import FigurePath

__all__ = ["MOST_SUBJECTS", "merged"]

MOST_SUBJECTS = 12
"""With more cgroups or regions, those whose names differ only in digits become one row."""

_DIGITS = re.compile(r"[0-9]+")


def merged(rows: Sequence[Row]) -> list[Row]:
    """The rows of a section; if it has many subjects, those whose names differ only in digits as one.

    A path of a claim takes the same pattern.
    """
    if len({row.path.subject for row in rows}) <= MOST_SUBJECTS:
        return list(rows)
    groups: dict[FigurePath, list[Row]] = {}
    for row in rows:
        path = row.path
        pattern = FigurePath(path.section, _DIGITS.sub("*", path.subject), path.nid, path.name)
        groups.setdefault(pattern, []).append(row)
    return [
        group[0] if len(group) == 1 else _summed(pattern, group)
        for pattern, group in groups.items()
    ]


def _summed(pattern: FigurePath, rows: Sequence[Row]) -> Row:
    return msgspec.structs.replace(
        rows[0],
        path=pattern,
        subjects=len({row.path.subject for row in rows}),
        values=tuple(
            None if None in column else sum(value for value in column if value is not None)
            for column in zip(*(row.values for row in rows), strict=True)
        ),
    )
