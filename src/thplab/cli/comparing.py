# SPDX-License-Identifier: GPL-2.0-only
"""What the verbs that end in a Comparison have in common: their options and their output."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from thplab.cli.output import write_text
from thplab.compare.comparison import compare
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

__all__ = ["add_output_options", "add_scenario", "output"]


def add_scenario(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's argument."""
    parser.add_argument(
        "scenario",
        metavar="SCENARIO",
        help="a scenario file, or the name of one of the library (`thplab scenarios`)",
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is shown, how and where."""
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="default: table"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE, whole or not at all")
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="show also the figures that are 0 or that do not differ (JSON always has all)",
    )
    parser.add_argument("--svg", metavar="FILE", help="write a picture of the table to FILE")


def output(scenario: Scenario, runs: Sequence[Run], options: argparse.Namespace) -> int:
    """Compare the runs and write the result where `options` want it; the status."""
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
