# SPDX-License-Identifier: GPL-2.0-only
"""`thplab fuzz --kernel IMAGE`: random scenarios on the model and on a kernel."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from thplab.cli.kernel_runs import add_time_limit, note
from thplab.cli.output import write_text
from thplab.scenario.errors import InputError
from thplab.scenario.toml_writer import scenario_toml
from thplab.sweep.fuzz import Finding, fuzz

__all__ = ["configure", "execute"]

_SHOWN = 12


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "--kernel", required=True, metavar="IMAGE", help="a kernel image, or debian:6.12"
    )
    parser.add_argument(
        "--count", type=int, default=100, metavar="N", help="how many scenarios (default: 100)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="S", help="the same seed writes the same scenarios"
    )
    parser.add_argument(
        "--findings",
        default=".",
        metavar="DIRECTORY",
        help="where a scenario file goes for each difference (default: here)",
    )
    add_time_limit(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the series; 1 if model and kernel differ anywhere."""
    if options.count < 1:
        raise InputError(f"--count {options.count}: give 1 or more")
    directory = Path(options.findings)
    if not directory.is_dir():
        raise InputError(f"--findings {directory}: there is no such directory; make it first")
    begun = time.monotonic()

    def progress(done: int) -> None:
        spent = time.monotonic() - begun
        note(f"{done} of {options.count} scenarios, {spent:.0f} s", only_if_watched=True)

    report = fuzz(options.kernel, options.count, options.seed, progress, options.time_limit)
    for finding in report.findings:
        _report(finding, directory)
    different = len(report.findings)
    print(
        f"{report.count} scenarios of seed {report.seed} on {report.kernel}: "
        f"{report.figures} figures agree, {different} scenario(s) differ"
    )
    return 1 if different else 0


def _report(finding: Finding, directory: Path) -> None:
    path = directory / f"{finding.smallest.name}.toml"
    comment = "".join(f"# {line}\n" for line in finding.lines)
    write_text(str(path), comment + scenario_toml(finding.smallest))
    before, after = len(finding.original.steps), len(finding.smallest.steps)
    print(f"scenario {finding.number} differs; {after} of its {before} steps show it: {path}")
    for line in finding.lines[:_SHOWN]:
        print(f"    {line}")
    if len(finding.lines) > _SHOWN:
        print(f"    and {len(finding.lines) - _SHOWN} more")
