# SPDX-License-Identifier: GPL-2.0-only
"""Lists for the terminal: the library, the releases, the findings of the doctor."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from thplab import designs
from thplab.backends.doctor import Finding
from thplab.backends.kernel_list import ListedKernel
from thplab.kernel_version import version_of
from thplab.mm.vmstat import counters
from thplab.releases.named import NAMES, release_named
from thplab.releases.release import DIFFERENCES
from thplab.scenario.errors import ScenarioError
from thplab.scenario.schema import Scenario
from thplab.scenario.steps import STEPS
from thplab.scenario.tunables import CGROUP_FILES, HOST_FILES

__all__ = ["print_findings", "print_kernels", "print_library", "print_releases", "release_rows"]

PLAIN_WIDTH = 160


def print_library(entries: Iterable[tuple[str, Scenario | ScenarioError]]) -> None:
    """Name, number of claims and summary of each scenario, or why thplab cannot read it."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("scenario", no_wrap=True)
    table.add_column("claims", justify="right")
    table.add_column("what it shows")
    for name, entry in entries:
        if isinstance(entry, ScenarioError):
            table.add_row(Text(name), "-", Text(str(entry), style="red"))
        else:
            table.add_row(Text(name), str(len(entry.claims)), Text(entry.summary))
    Console(highlight=False).print(table)


def print_findings(findings: Iterable[Finding]) -> None:
    """The findings of the doctor, a line each."""
    table = Table("thing", "for", "state", "found", "remedy", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.thing, finding.use, finding.state, finding.found, finding.remedy)
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    Console(width=width, highlight=False, markup=False).print(table)


def print_kernels(kernels: Iterable[ListedKernel]) -> None:
    """The kernels that `--kernel` can name, a line each."""
    words = {"image": "image", "cached": "in the cache", "apt": "apt has it"}
    table = Table("--kernel", "uname -r", "state", "where", box=None, pad_edge=False)
    for one in kernels:
        where = (
            f"{one.where} (its modules are gone: over virtiofs)"
            if one.over == "virtiofs"
            else one.where
        )
        table.add_row(one.kernel, one.linux or "?", words[one.state], where)
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    Console(width=width, highlight=False, markup=False).print(table)


def print_releases() -> None:
    """Each release with its design, and what it changed since the one before it."""
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("release", no_wrap=True)
    table.add_column("design", no_wrap=True)
    table.add_column("what it changed")
    for name, design, changes in release_rows():
        first, *rest = changes or ["nothing that the model knows of"]
        table.add_row(name, design, Text(first))
        for change in rest:
            table.add_row("", "", Text(change))
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    Console(width=width, highlight=False, markup=False).print(table)


def release_rows() -> Iterator[tuple[str, str, Sequence[str]]]:
    """Each release's name, design, and changes since the one before, each change with its own release."""
    before = (0, 0)
    last_design = ""
    for name in NAMES:
        release = release_named(name)
        changes = [
            f"{since}: {text}"
            for since, text in _brought()
            if before < version_of(since) <= release.version
        ]
        if release.design != last_design and last_design:
            since = designs.load(release.design).since
            changes.insert(0, f"{since}: design {release.design} in place of {last_design}")
        yield (
            name,
            release.design,
            changes if before != (0, 0) else ["the first that has such a queue"],
        )
        before, last_design = release.version, release.design


def _brought() -> list[tuple[str, str]]:
    """(release, what it brought), the oldest first."""
    found = [(one.since, one.about) for one in DIFFERENCES.values()]
    found += [
        (row.since, f"the file {row.file}")
        for row in (*HOST_FILES.values(), *CGROUP_FILES)
        if row.since
    ]
    for kind in STEPS.values():
        found += [(since, what) for what, since in kind.interfaces.items()]
    names: dict[str, list[str]] = {}
    for _, counter in counters():
        names.setdefault(counter.since, []).append(counter.name)
    found += [
        (since, f"the {'counters' if len(group) > 1 else 'counter'} {', '.join(group)}")
        for since, group in names.items()
    ]
    return sorted(found, key=lambda item: version_of(item[0]))
