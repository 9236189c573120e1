# SPDX-License-Identifier: GPL-2.0-only
"""The verbs about scenarios: compare, run, scenarios, releases, schema."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from thplab.api.runs import DEFAULT_RELEASES, model_beside, model_runs
from thplab.cli.options import (
    Watched,
    add_kernel_options,
    add_model_options,
    add_output_option,
    add_scenario,
    host_facts,
    kernel_runs,
)
from thplab.cli.output import check_writable, write_text
from thplab.scenario.errors import InputError, ScenarioError
from thplab.scenario.library import find_scenario, library_files
from thplab.scenario.loader import load
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

__all__ = ["Compare", "Releases", "RunOne", "Scenarios", "Schema"]


class Compare:
    """`thplab compare SCENARIO`: what several releases, designs or kernels do, side by side."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        add_scenario(parser)
        add_model_options(parser, several=True)
        add_kernel_options(parser, several=True)
        _add_output_options(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """Run the scenario as each release and on each kernel, and show the runs side by side."""
        scenario = find_scenario(options.scenario)
        check_writable(options.output, options.svg)
        runs = model_runs(
            scenario,
            options.releases,
            options.designs,
            watched=Watched,
            facts=host_facts(scenario, options),
        )
        for run in kernel_runs(scenario, options):
            runs.extend([*model_beside(scenario, run, runs), run])
        return _output(scenario, runs, options)


class RunOne:
    """`thplab run SCENARIO`: all that happens on one release, design or kernel."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        add_scenario(parser)
        add_model_options(parser, several=False)
        add_kernel_options(parser, several=False)
        _add_output_options(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """Run the scenario once and show what happened."""
        on_kernels = len(options.kernels) + bool(options.on)
        on_model = bool(options.releases or options.designs or options.host_from)
        if on_kernels + on_model > 1 or max(len(options.releases), len(options.designs)) > 1:
            raise InputError(
                "run takes a --release, a --design or both, with or without --host-from, or one --kernel, "
                "or --on host; "
                "`thplab compare` shows several side by side"
            )
        scenario = find_scenario(options.scenario)
        check_writable(options.output, options.svg)
        if on_kernels:
            runs = kernel_runs(scenario, options)
        else:
            runs = model_runs(
                scenario,
                options.releases,
                options.designs,
                DEFAULT_RELEASES[-1:],
                Watched,
                host_facts(scenario, options),
            )
        return _output(scenario, runs, options)


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the content, the format and the place of the result."""
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="default: table"
    )
    add_output_option(parser)
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="show also the figures that are 0 or that do not differ (JSON always has all)",
    )
    parser.add_argument("--svg", metavar="FILE", help="write a picture of the table to FILE")


def _output(scenario: Scenario, runs: Sequence[Run], options: argparse.Namespace) -> int:
    """Compare the runs, write the result as `options` say, and return the exit status."""
    from thplab.comparison.comparison import compare

    comparison = compare(scenario, runs)
    if options.svg is not None:
        from thplab.report.terminal import comparison_svg

        write_text(options.svg, comparison_svg(comparison, everything=options.everything))
    if options.format == "json":
        from thplab.report.json_text import comparison_json

        write_text(options.output, comparison_json(comparison))
    elif options.output is not None:
        from thplab.report.terminal import comparison_text

        write_text(options.output, comparison_text(comparison, everything=options.everything))
    else:
        from thplab.report.terminal import print_comparison

        print_comparison(comparison, everything=options.everything)
    return 1 if comparison.broken else 0


class Scenarios:
    """`thplab scenarios`: the library, a line each."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        parser.add_argument(
            "--paths", action="store_true", help="print only the paths of the files"
        )

    def execute(self, options: argparse.Namespace) -> int:
        """Print name, number of claims and summary of each. Status 2 if thplab cannot read one."""
        if options.paths:
            write_text(None, "".join(f"{file}\n" for file in library_files()))
            return 0
        from thplab.report.lists import print_library

        entries: list[tuple[str, Scenario | ScenarioError]] = []
        for file in library_files():
            try:
                entries.append((file.stem, load(file)))
            except ScenarioError as error:
                entries.append((file.stem, error))
        print_library(entries)
        return 2 if any(isinstance(entry, ScenarioError) for _name, entry in entries) else 0


class Releases:
    """`thplab releases`: the releases that thplab knows, and what each changed."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options: it has none."""

    def execute(self, options: argparse.Namespace) -> int:
        """Print a line for each release, and one for each thing that it brought."""
        from thplab.report.lists import print_releases

        del options
        print_releases()
        return 0


class Schema:
    """`thplab schema`: the JSON Schema of the scenario language, for editors."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        add_output_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """Print the schema."""
        from thplab.scenario.json_schema import schema_text

        check_writable(options.output)
        write_text(options.output, schema_text())
        return 0
