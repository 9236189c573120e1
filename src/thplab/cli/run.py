# SPDX-License-Identifier: GPL-2.0-only
"""`thplab run SCENARIO --design DESIGN`: one design, all that happened in it."""

from __future__ import annotations

import argparse

from thplab.cli.comparing import add_output_options, add_scenario, output
from thplab.cli.model_runs import model_runs
from thplab.cli.output import check_writable
from thplab.cli.scenario_argument import find_scenario

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_scenario(parser)
    parser.add_argument(
        "--design", required=True, metavar="DESIGN", help="a design by name, or file.py:Class"
    )
    add_output_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the scenario on the design and show what happened."""
    scenario = find_scenario(options.scenario)
    check_writable(options.output, options.svg)
    return output(scenario, model_runs(scenario, [options.design]), options)
