# SPDX-License-Identifier: GPL-2.0-only
"""The explorer's results as text: a line for each case, a failure with its trace, the table of bugs."""

from __future__ import annotations

import textwrap

from thplab.explorer.cases.standard import CASES
from thplab.explorer.corpus import Bug
from thplab.explorer.corpus.search import Result
from thplab.explorer.session import CaseVerdict, Report
from thplab.explorer.verdict import Verdict

__all__ = [
    "bug_heading",
    "bug_line",
    "bug_with_schedule",
    "case_list",
    "corpus_summary",
    "failure_text",
    "verdict_line",
]

_TITLE = 58


def case_list() -> str:
    """The standard cases, a line each."""
    width = max(len(case.name) for case in CASES)
    lines = [f"{case.name:{width}}  {case.summary}" for case in CASES]
    return "\n".join(
        [
            *lines,
            "",
            "Each bug is a case too, B06, and so is the fixed code, B06-fixed: `thplab bugs`.",
        ]
    )


def verdict_line(verdict: CaseVerdict) -> str:
    """A case and its result, on one line."""
    failure = verdict.failure
    found = f"FAILED: {failure.check}" if failure else f"no failure: {verdict.coverage()}"
    return (
        f"{verdict.case.name}: {verdict.executions} executions in {verdict.seconds:.1f} s, {found}"
    )


def failure_text(report: Report, *, trace: bool = True) -> str:
    """A few lines, the trace with a column for each CPU, and the command that repeats the failure."""
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
        lines.append(report.text())
    if report.id is None:
        lines.append("replay: no id, because the design has no name on the command line")
    else:
        lines.append("replay: thplab explore --replay \\")
        lines.extend(textwrap.wrap(report.id, 100))
    return "\n".join(lines)


def bug_heading() -> str:
    """The heading of the table of bugs."""
    return f"{'':4} {'bug':{_TITLE}} {'found by':15} {'runs':>6} {'s':>5} {'steps':>5}  fixed code"


def bug_line(bug: Bug, result: Result) -> str:
    """A bug's line of that table."""
    failure = result.broken.shortest
    by = failure.check if failure is not None else "NOT FOUND"
    if failure is not None and failure.check not in bug.checks:
        by = f"{by} (!)"
    steps = len(failure.schedule) if failure is not None else 0
    title = textwrap.shorten(bug.title, _TITLE, placeholder="...")
    return (
        f"{bug.id:4} {title:{_TITLE}} {by:15} {result.broken.executions:6} {result.broken.seconds:5.1f} "
        f"{steps:5}  {fixed_code(result.fixed)}"
    )


def fixed_code(verdict: Verdict) -> str:
    """The result of the search of the fixed code."""
    found = (
        f"FAILS: {verdict.failure.text()}" if verdict.failure else f"clean, {verdict.coverage()}"
    )
    return f"{found} ({verdict.executions} runs)"


def corpus_summary(failed: list[str], searched: int, seconds: float) -> str:
    """The last line of that table; `failed` has the numbers of the bugs whose result was not as expected."""
    found = searched - len(failed)
    text = f"{found} of {searched} found, and their fixes clean, in {seconds:.0f} s"
    return f"{text}\nNOT as expected: {', '.join(failed)}" if failed else text


def bug_with_schedule(bug: Bug, result: Result) -> str:
    """A bug, its shortest failing schedule, and the result of the same search of the fixed code."""
    report = result.broken.report
    shown = "NOT FOUND" if report is None else failure_text(report)
    return (
        f"{bug.id}: {bug.title} ({bug.versions})\n{bug.about}\n\n{shown}\n\n"
        f"fixed code: {fixed_code(result.fixed)}"
    )
