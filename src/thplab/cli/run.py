# SPDX-License-Identifier: GPL-2.0-only
"""`thplab run SCENARIO --design DESIGN` (or `--kernel IMAGE`): one of them, all that happened in it."""

from __future__ import annotations

import argparse

from thplab.cli.comparing import add_output_options, add_scenario, output
from thplab.cli.kernel_runs import add_kernel_options, add_time_limit, kernel_runs, wants_kernels
from thplab.cli.model_runs import model_runs
from thplab.cli.output import check_writable
from thplab.cli.scenario_argument import find_scenario

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    add_scenario(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--design", metavar="DESIGN", help="a design by name, or file.py:Class")
    add_kernel_options(where, alone=True)
    add_time_limit(parser)
    add_output_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Run the scenario on the design or the kernel and show what happened."""
    scenario = find_scenario(options.scenario)
    check_writable(options.output, options.svg)
    if wants_kernels(options):
        runs = kernel_runs(scenario, options)
    else:
        runs = model_runs(scenario, [options.design])
    return output(scenario, runs, options)
