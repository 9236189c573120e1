# SPDX-License-Identifier: GPL-2.0-only
"""Runs on real kernels, for the verbs that take `--kernel` and `--on host`."""

from __future__ import annotations

import argparse
import sys

from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

__all__ = ["add_kernel_options", "add_time_limit", "kernel_runs", "note", "wants_kernels"]


def add_kernel_options(parser: argparse._ActionsContainer, *, alone: bool = False) -> None:
    """Add the options that name real kernels; `alone`: for a verb that takes one of them only."""
    also = "" if alone else "also "
    several = "" if alone else "; may be given several times"
    parser.add_argument(
        "--kernel",
        dest="kernels",
        action="append",
        default=[],
        metavar="IMAGE",
        help=f"{also}on this kernel, in a virtual machine: an image file, or debian:6.12{several}",
    )
    parser.add_argument(
        "--on",
        choices=("host",),
        help=f"{also}on this host, by its own kernel; needs root and changes settings meanwhile",
    )
    if not alone:
        add_time_limit(parser)


def add_time_limit(parser: argparse._ActionsContainer) -> None:
    """Add the option that says how long a guest may take."""
    parser.add_argument(
        "--time-limit",
        type=_seconds,
        metavar="SECONDS",
        help="end a guest that takes longer for its boot, or for one scenario "
        "(default: 60 with KVM, 240 in emulation)",
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of seconds above 0")
    return seconds


def wants_kernels(options: argparse.Namespace) -> bool:
    """Whether a real kernel was asked for."""
    return bool(options.kernels or options.on)


def kernel_runs(scenario: Scenario, options: argparse.Namespace) -> list[Run]:
    """Run the scenario on each kernel that the options name, in their order, then on the host."""
    runs = []
    for kernel in options.kernels:
        from thplab.backends import vm

        note(f"booting {kernel} ...", only_if_watched=True)
        runs.append(vm.run(scenario, kernel, options.time_limit))
    if options.on == "host":
        from thplab.backends import host

        runs.extend(host.run_batch([scenario], note))
    return runs


def note(text: str, *, only_if_watched: bool = False) -> None:
    """Say something beside the result, on standard error."""
    if not only_if_watched or sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
