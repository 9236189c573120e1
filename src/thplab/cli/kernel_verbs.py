# SPDX-License-Identifier: GPL-2.0-only
"""The verbs about real kernels: verify, fuzz, kernels, doctor."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from thplab.backends import vm
from thplab.backends.errors import KernelRunError
from thplab.backends.guest import memory_shortage
from thplab.backends.kernel_image import kernel_title
from thplab.cli.options import add_output_option, add_time_limit, note
from thplab.cli.output import check_directory, check_writable, write_text
from thplab.comparison.bounds import verify_beside
from thplab.comparison.record import LINES, FuzzRecord, LibraryRecord, record_path, recorded
from thplab.comparison.verify import (
    Verification,
    not_compared,
    not_verified,
    unknown_design,
)
from thplab.releases.release import Release
from thplab.report.lists import print_findings, print_kernels
from thplab.report.verification import (
    finding_text,
    series_text,
    summary_text,
    verification_json,
    verification_text,
)
from thplab.scenario.errors import InputError, ThplabError
from thplab.scenario.library import find_scenario, library_files
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario
from thplab.scenario.toml_writer import scenario_toml
from thplab.sweep.fuzz import Finding, FuzzReport, fuzz
from thplab.sweep.series import ALL, DEFAULT, SERIES

__all__ = ["Doctor", "Fuzz", "Kernels", "Verify"]


class Verify:
    """`thplab verify SCENARIO... --kernel IMAGE`: compare the model with real kernels."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        parser.add_argument(
            "scenarios",
            nargs="*",
            metavar="SCENARIO",
            help="files, or names of the library's scenarios; none: the whole library",
        )
        parser.add_argument(
            "--kernel",
            dest="kernels",
            action="append",
            required=True,
            metavar="IMAGE",
            help="a kernel image, or debian:6.12; may be given several times",
        )
        add_time_limit(parser)
        _add_record_option(parser)
        parser.add_argument(
            "--all",
            dest="everything",
            action="store_true",
            help="show each figure with its rule, not only those that differ",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")
        add_output_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """Run the scenarios on both, and compare the figures.

        Returns:
            1 if any differ, otherwise 2 if a scenario or a kernel could not be used.
        """
        if options.scenarios and options.record:
            raise InputError("--record records the whole library; leave out the scenarios")
        scenarios, unusable = _chosen(options.scenarios)
        check_writable(options.output)
        check_directory("--record", options.record)
        verifications: list[Verification] = []
        for kernel in options.kernels:
            begun = time.monotonic()
            found = _verify_on(scenarios, kernel, options.time_limit)
            title = kernel_title(kernel)
            found += [not_compared(name, title, why) for name, why in unusable.items()]
            verifications.extend(found)
            if options.record:
                ran = next((one for one in found if one.release), found[0])
                library = LibraryRecord.of(found, time.monotonic() - begun)
                _record(Path(options.record), ran.kernel, ran.linux, ran.release, library)
            if options.format == "table" and options.output is None:
                sys.stdout.write(verification_text(found, everything=options.everything))
                sys.stdout.flush()
        if options.format == "json":
            write_text(options.output, verification_json(verifications))
        else:
            text = summary_text(verifications)
            if options.output is not None:
                text = verification_text(verifications, everything=options.everything) + text
            write_text(options.output, text)
        if any(verification.failed for verification in verifications):
            return 1
        return 2 if any(verification.not_compared for verification in verifications) else 0


def _chosen(names: Sequence[str]) -> tuple[list[Scenario], dict[str, str]]:
    """The scenarios to run, and the reason for each that cannot be used.

    Without names, the library without the scenarios that need more memory than this machine has; a note
    names those.
    """
    scenarios: list[Scenario] = []
    unusable: dict[str, str] = {}
    refusal = None
    for name in names or [str(path) for path in library_files()]:
        try:
            scenario = find_scenario(name)
        except InputError as error:
            refusal = error
            unusable[name] = str(error)
            continue
        shortage = "" if names else memory_shortage(scenario.host)
        if shortage:
            note(f"not run: {scenario.name}: {shortage}")
        else:
            scenarios.append(scenario)
    if refusal is not None and not scenarios:
        raise refusal
    return scenarios, unusable


def _verify_on(
    scenarios: Sequence[Scenario], kernel: str, time_limit: float | None
) -> list[Verification]:
    note(f"{len(scenarios)} scenarios on {kernel} ...", only_if_watched=True)
    title = kernel_title(kernel)
    try:
        runs = vm.run_each(scenarios, kernel, time_limit)
    except ThplabError as error:
        return [not_compared(scenario.name, title, str(error)) for scenario in scenarios]
    return [
        _verify_run(scenario, title, run) for scenario, run in zip(scenarios, runs, strict=True)
    ]


def _verify_run(scenario: Scenario, kernel: str, run: Run | ThplabError) -> Verification:
    """Compare a kernel's Run with the model's, unless there is none or the model cannot do as the kernel."""
    if isinstance(run, KernelRunError):
        return not_verified(scenario, kernel, str(run))
    if isinstance(run, ThplabError):
        return not_compared(scenario.name, kernel, str(run))
    if unknown_design(run):
        return not_compared(scenario.name, kernel, unknown_design(run))
    try:
        return verify_beside(scenario, run)
    except InputError as error:
        return not_compared(scenario.name, kernel, str(error))


def _record(
    directory: Path,
    kernel: str,
    linux: str,
    release: Release | None,
    result: LibraryRecord | FuzzRecord,
) -> None:
    """Write the record of one kernel, unless it did not boot: then there is nothing to record."""
    if release is None:
        note(f"not recorded: {kernel}: it ran no scenario")
        return
    text = recorded(directory, kernel, linux, release, result)
    write_text(str(record_path(directory, kernel)), text)


class Fuzz:
    """`thplab fuzz --kernel IMAGE`: random scenarios on the model and on a kernel."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        parser.add_argument(
            "--kernel", required=True, metavar="IMAGE", help="a kernel image, or debian:6.12"
        )
        parser.add_argument(
            "--count", type=int, default=100, metavar="N", help="how many scenarios (default: 100)"
        )
        parser.add_argument(
            "--seed",
            type=int,
            default=1,
            metavar="S",
            help="the same seed writes the same scenarios",
        )
        parser.add_argument(
            "--kind",
            dest="kinds",
            action="append",
            metavar="KIND",
            help=f"which scenarios: {', '.join(SERIES)}, or {ALL}; may be given several times, and then they "
            f"take turns (default: {DEFAULT})",
        )
        parser.add_argument(
            "--findings",
            default=".",
            metavar="DIRECTORY",
            help="the directory for a scenario file of each difference (default: the current one)",
        )
        add_time_limit(parser)
        _add_record_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """Run the series. Status 1 if model and kernel differ."""
        if options.count < 1:
            raise InputError(f"--count {options.count}: give 1 or more")
        directory = Path(options.findings)
        check_directory("--findings", options.findings)
        check_directory("--record", options.record)
        begun = time.monotonic()

        def progress(done: int) -> None:
            spent = time.monotonic() - begun
            note(f"{done} of {options.count} scenarios, {spent:.0f} s", only_if_watched=True)

        kinds = options.kinds or [DEFAULT]
        report = fuzz(
            options.kernel, options.count, options.seed, progress, options.time_limit, kinds
        )
        for finding in report.findings:
            _keep(finding, directory)
        series = _series(report, ", ".join(kinds), time.monotonic() - begun)
        sys.stdout.write(series_text(report.kernel, series))
        if options.record:
            _record(Path(options.record), report.kernel, report.linux, report.release, series)
        if report.findings:
            return 1
        return 2 if report.empty == report.count else 0


def _series(report: FuzzReport, kind: str, seconds: float) -> FuzzRecord:
    return FuzzRecord(
        kind=kind,
        seed=report.seed,
        count=report.count,
        figures=report.figures,
        differ={finding.number: finding.lines[:LINES] for finding in report.findings},
        empty=report.empty,
        left_out=sorted(report.left_out),
        seconds=round(seconds),
    )


def _keep(finding: Finding, directory: Path) -> None:
    """Write a finding to a scenario file, and print it."""
    path = directory / f"{finding.smallest.name}.toml"
    comment = "".join(f"# {line}\n" for line in finding.lines)
    write_text(str(path), comment + scenario_toml(finding.smallest))
    steps = len(finding.original.steps), len(finding.smallest.steps)
    sys.stdout.write(finding_text(finding.number, steps, finding.lines, path))


def _add_record_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--record",
        metavar="DIRECTORY",
        help="also write the result to DIRECTORY/KERNEL.json, from which pages are made (docs/verified)",
    )


class Kernels:
    """`thplab kernels`: the kernels that `--kernel` can name here."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        parser.add_argument(
            "--fetch",
            action="store_true",
            help="first have apt fetch the lists of Debian's suites (about 40M)",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")
        add_output_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """List them. Status 2 if a list that was to be fetched, or apt, could not be reached."""
        from thplab.backends.kernel_list import fetch_lists, list_kernels

        if options.output is not None and options.format != "json":
            raise InputError("-o takes --format json, because a table is for the terminal")
        check_writable(options.output)
        problems = fetch_lists() if options.fetch else []
        found = list_kernels()
        found.problems.extend(problems)
        if options.format == "json":
            text = msgspec.json.format(msgspec.json.encode(found)).decode()
            write_text(options.output, f"{text}\n")
        else:
            print_kernels(found.kernels)
        for problem in found.problems:
            note(problem)
        if found.not_fetched:
            note(
                f"not looked at: {', '.join(found.not_fetched)}, whose lists are not here; "
                "`thplab kernels --fetch` fetches them"
            )
        return 2 if problems else 0


class Doctor:
    """`thplab doctor`: what each part of thplab needs, whether this machine has it, and the remedy."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options: it has none."""

    def execute(self, options: argparse.Namespace) -> int:
        """Print a line for each thing."""
        from thplab.backends.doctor import examine

        del options
        print_findings(examine())
        return 0
