# SPDX-License-Identifier: GPL-2.0-only
"""The verbs about real kernels: verify, fuzz, doctor."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from thplab.backends import model, vm
from thplab.backends.errors import KernelRunError
from thplab.backends.guest import memory_shortage
from thplab.cli.options import add_output_option, add_time_limit, note
from thplab.cli.output import check_writable, write_text
from thplab.comparison.verify import Verification, not_verified, verify
from thplab.report.lists import print_findings
from thplab.report.verification import finding_text, verification_json, verification_text
from thplab.scenario.errors import InputError
from thplab.scenario.library import find_scenario, library_files
from thplab.scenario.loader import load
from thplab.scenario.schema import Scenario
from thplab.scenario.toml_writer import scenario_toml
from thplab.sweep.fuzz import Finding, fuzz

__all__ = ["Doctor", "Fuzz", "Verify"]


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
        parser.add_argument(
            "--all",
            dest="everything",
            action="store_true",
            help="show each figure with its rule, not only those that differ",
        )
        parser.add_argument("--format", choices=("table", "json"), default="table")
        add_output_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """Run the scenarios on both, and compare the figures. Status 1 if any differ."""
        if options.scenarios:
            scenarios = [find_scenario(name) for name in options.scenarios]
        else:
            scenarios = _library()
        check_writable(options.output)
        verifications: list[Verification] = []
        for kernel in options.kernels:
            found = _verify_on(scenarios, kernel, options.time_limit)
            verifications.extend(found)
            if options.format == "table" and options.output is None:
                sys.stdout.write(verification_text(found, everything=options.everything))
                sys.stdout.flush()
        if options.format == "json":
            write_text(options.output, verification_json(verifications))
        elif options.output is not None:
            text = verification_text(verifications, everything=options.everything)
            write_text(options.output, text)
        return 1 if any(verification.failed for verification in verifications) else 0


def _library() -> list[Scenario]:
    """The library, without the scenarios that need more memory than this machine has; a note names those."""
    fitting = []
    for path in library_files():
        scenario = load(path)
        shortage = memory_shortage(scenario.host)
        if shortage:
            note(f"not run: {scenario.name}: {shortage}")
        else:
            fitting.append(scenario)
    return fitting


def _verify_on(
    scenarios: Sequence[Scenario], kernel: str, time_limit: float | None
) -> list[Verification]:
    note(f"{len(scenarios)} scenarios on {kernel} ...", only_if_watched=True)
    verifications = []
    for scenario, run in zip(scenarios, vm.run_each(scenarios, kernel, time_limit), strict=True):
        if isinstance(run, KernelRunError):
            verifications.append(not_verified(scenario, kernel, str(run)))
        else:
            model_run = model.run(scenario, release=run.release)
            verifications.append(verify(scenario, model_run, run))
    return verifications


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
            "--findings",
            default=".",
            metavar="DIRECTORY",
            help="the directory for a scenario file of each difference (default: the current one)",
        )
        add_time_limit(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """Run the series. Status 1 if model and kernel differ."""
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
            _keep(finding, directory)
        different = len(report.findings)
        print(
            f"{report.count} scenarios of seed {report.seed} on {report.kernel}: "
            f"{report.figures} figures agree, {different} scenario(s) differ"
        )
        return 1 if different else 0


def _keep(finding: Finding, directory: Path) -> None:
    """Write a finding to a scenario file, and print it."""
    path = directory / f"{finding.smallest.name}.toml"
    comment = "".join(f"# {line}\n" for line in finding.lines)
    write_text(str(path), comment + scenario_toml(finding.smallest))
    steps = len(finding.original.steps), len(finding.smallest.steps)
    sys.stdout.write(finding_text(finding.number, steps, finding.lines, path))


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
