# SPDX-License-Identifier: GPL-2.0-only
"""The explorer's findings as text: a line each, or all that a person needs to tell upstream; and as a page."""

from __future__ import annotations

import shlex
import textwrap

import msgspec

from thplab.agent.confirm.sight import Sight, Telling
from thplab.explorer.findings import Finding, all_findings
from thplab.explorer.session import Report, search

__all__ = [
    "finding_lines",
    "finding_page",
    "finding_text",
    "known_line",
    "missing_line",
    "sight_json",
    "sight_text",
]

_WIDTH = 110


def finding_lines() -> str:
    """The findings, a line or two each."""
    width = max(len(finding.name) for finding in all_findings())
    lines = []
    for finding in all_findings():
        lines.append(f"{finding.number}  {finding.name:{width}}  {finding.title}")
        lines.append(f"   {'':{width}}  {finding.verdict()}")
    return "\n".join(
        [*lines, "", "`thplab findings show NAME` has the schedule, the program and the rest."]
    )


def known_line(finding: Finding) -> str:
    """What is said below a failure that is known."""
    return (
        f"known finding {finding.name}: {finding.verdict()}\n  thplab findings show {finding.name}"
    )


def missing_line(finding: Finding) -> str:
    """What is said of a search that should have met a finding."""
    return (
        f"the known finding {finding.name} is not found any more: if the model was mended, "
        "change the finding's file; if not, the model hides it"
    )


def report_of(finding: Finding) -> Report | None:
    """The shortest failing schedule, on the newest design that has the finding; None if a search does not fail."""
    return search(finding.cases[0], finding.designs[-1], bound=finding.preemptions).report


def command_of(finding: Finding) -> str:
    """The command that searches for it."""
    words = ["thplab", "explore", *finding.cases, "--design", finding.designs[-1]]
    return shlex.join(words)


def schedule_of(finding: Finding, width: int | None = None) -> tuple[str, str]:
    """What the check reports and the trace of the shortest schedule, or ("", "") where none fails."""
    report = report_of(finding)
    if report is None:
        return "", ""
    failure = report.failure
    return (
        f"{failure.check}: {failure.text()}\n{len(failure.schedule)} steps, {failure.preemptions} preemptions",
        report.text(width),
    )


def finding_text(finding: Finding) -> str:
    """All of one finding, for a terminal or a mail."""
    parts = [
        f"{finding.name}: {finding.title}",
        f"{finding.verdict()}\nreleases: {finding.releases}",
    ]
    parts += [
        f"{head}\n{_wrapped(text)}"
        for head, text in _sections(finding)
        if text and head != "The program"
    ]
    what, trace = schedule_of(finding)
    if trace:
        parts.append(f"The schedule ({command_of(finding)})\n{what}\n\n{trace.rstrip()}")
    if finding.program():
        parts.append(f"The program\n\n{finding.program().rstrip()}")
    return "\n\n".join(parts)


def _sections(finding: Finding) -> list[tuple[str, str]]:
    confirmed = "\n".join(f"{one.kernel}: {one.how}." for one in finding.confirmed)
    return [
        ("What happens", finding.happens),
        ("The harm", finding.harm),
        ("Confirmed on", confirmed),
        ("What the kernel showed", finding.seen),
        ("How to hold the window open in a kernel that you build", finding.window),
        ("Without building a kernel", finding.probe),
        ("What would mend it", finding.mend),
        ("Who knows", finding.told),
    ]


def _wrapped(text: str) -> str:
    lines = []
    for line in text.strip().splitlines():
        rest = line if line.startswith("|") else textwrap.fill(line, _WIDTH - 2)
        lines.append(textwrap.indent(rest, "  "))
    return "\n".join(lines)


def finding_page() -> str:
    """The findings as Markdown: a table, and a section for each."""
    rows = [
        f"| {one.number} | [{one.name}](#{one.name}) | {one.releases} | {one.verdict()} |"
        for one in all_findings()
    ]
    return "\n".join(
        [
            "| | finding | releases | status |",
            "|--:|---|---|---|",
            *rows,
            *(part for one in all_findings() for part in _page_parts(one)),
        ]
    )


def _page_parts(finding: Finding) -> list[str]:
    parts = ["", f"## {finding.name}", "", f"{finding.title}.", ""]
    for head, text in _sections(finding):
        if not text:
            continue
        lines = text.strip().splitlines()
        if head == "What happens":
            parts += [f"{number}. {line}" for number, line in enumerate(lines, 1)]
            parts.append("")
        elif any(line.startswith("|") for line in lines):
            parts += [f"**{head}.**", "", *lines, ""]
        else:
            parts += [f"**{head}.** {lines[0]}", *lines[1:], ""]
    what, trace = schedule_of(finding, 64)
    if trace:
        parts += [f"**The schedule.** `{command_of(finding)}` says:", "", "```text", what, ""]
        parts += [line.rstrip() for line in trace.rstrip().splitlines()] + ["```", ""]
    if finding.program():
        name = f"{finding.name.replace('-', '_')}.c"
        path = f"../src/thplab/explorer/findings/{name}"
        command = f"thplab findings show {finding.name}"
        parts += [f"**The program** is [{name}]({path}); `{command}` prints it.", ""]
    return parts


def sight_text(sight: Sight) -> str:
    """What a kernel showed with a finding's window held open and without, as a table with the verdict."""
    columns = [("without", sight.without)]
    if sight.held is not None:
        columns.append(("with the window held open", sight.held))
    rows = [("", [head for head, _ in columns])]
    for label, name in (
        ("queued before, by node", "queued_before"),
        ("queued after", "queued_after"),
        ("nr_anon_partially_mapped", "partially_mapped"),
        ("split meanwhile", "split_meanwhile"),
        ("another scan splits", "split_by_scan"),
    ):
        rows.append((label, [_figure(telling, name) for _, telling in columns]))
    width = max(len(label) for label, _ in rows)
    widths = [
        max(len(cell) for cell in column)
        for column in zip(*(cells for _, cells in rows), strict=True)
    ]
    lines = [
        "  ".join([f"{label:{width}}", *map(str.rjust, cells, widths)]) for label, cells in rows
    ]
    return "\n".join([f"{sight.finding} on {sight.kernel}", *lines, "", sight.verdict(), ""])


def _figure(telling: Telling, name: str) -> str:
    value = getattr(telling, name)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def sight_json(sight: Sight) -> str:
    """The same for programs."""
    told = msgspec.to_builtins(sight) | {"seen": sight.seen, "verdict": sight.verdict()}
    return f"{msgspec.json.format(msgspec.json.encode(told)).decode()}\n"
