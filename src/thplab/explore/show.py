# SPDX-License-Identifier: GPL-2.0-only
"""A failure as text: what, where, how it is repeated, and the trace."""

from __future__ import annotations

import shutil
import textwrap

from thplab.explore.interpreted import is_compiled, trace_of
from thplab.explore.session import Report
from thplab.explore.trace import render

__all__ = ["show_report"]

NARROWEST, WIDEST = 56, 84


def column_width(columns: int) -> int:
    """For a terminal of this machine; wide enough to be read where it is none."""
    free = shutil.get_terminal_size((180, 24)).columns - 5 - 3 * columns
    return max(NARROWEST, min(WIDEST, free // columns))


def show_report(report: Report, *, trace: bool = True) -> str:
    """The report: a few lines, then the trace with a column for each CPU."""
    failure = report.failure
    lines = [
        f"{failure.check}: {failure.text()}",
        f"case {report.case.name}: {report.case.summary}",
        f"{len(failure.schedule)} steps, {failure.preemptions} preemptions, sequential consistency",
    ]
    if failure.fail_lane >= 0:
        lines.append(f"the allocation of {failure.failed_allocation} fails")
    lines.append("")
    if trace:
        width = column_width(len(report.trace.columns))
        text = trace_of(report.id, width) if is_compiled() else render(report.trace, width) + "\n"
        lines.append(text)
    lines.append("replay: thplab explore --replay \\")
    lines.extend(textwrap.wrap(report.id, 100))
    return "\n".join(lines)
