# SPDX-License-Identifier: GPL-2.0-only
"""`thplab compare SCENARIO`: several designs side by side."""

from __future__ import annotations

import argparse

from thplab.cli.comparing import add_output_options, add_scenario, output
from thplab.cli.kernel_runs import add_kernel_options, kernel_runs
from thplab.cli.model_runs import model_runs
from thplab.cli.output import check_writable
from thplab.cli.scenario_argument import find_scenario

__all__ = ["configure", "execute"]

DEFAULT_DESIGNS = ("split_queue", "list_lru")
"""Before and after the change that the laboratory is about."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_scenario(parser)
    parser.add_argument(
        "--design",
        dest="designs",
        action="append",
        metavar="DESIGN",
        help="a design by name, or file.py:Class; may be given several times; `all` is each that "
        f"is installed (default: {' and '.join(DEFAULT_DESIGNS)})",
    )
    add_kernel_options(parser)
    add_output_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the scenario on each design, and on kernels if asked to, and show them side by side."""
    scenario = find_scenario(options.scenario)
    check_writable(options.output, options.svg)
    runs = model_runs(scenario, options.designs or DEFAULT_DESIGNS)
    runs.extend(kernel_runs(scenario, options))
    return output(scenario, runs, options)
