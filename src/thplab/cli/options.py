# SPDX-License-Identifier: GPL-2.0-only
"""Options that several verbs have, runs on kernels, and the bar that shows progress."""

from __future__ import annotations

import argparse
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from thplab.api.runs import DEFAULT_RELEASES
from thplab.scenario.host_facts import HostFacts, load_host_facts
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = [
    "Watched",
    "add_kernel_options",
    "add_model_options",
    "add_output_option",
    "add_scenario",
    "add_time_limit",
    "host_facts",
    "kernel_runs",
    "note",
]

PATIENCE_SECONDS = 1.0
"""Shorter runs show no progress bar."""


def add_scenario(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's argument."""
    parser.add_argument(
        "scenario",
        metavar="SCENARIO",
        help="a scenario file, or the name of one of the library (`thplab scenarios`)",
    )


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a file for the result."""
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE, whole or not at all")


def add_model_options(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """Add the options for the releases and designs of the model."""
    again = "; may be given several times; `all` stands for all of them" if several else ""
    default = " and ".join(DEFAULT_RELEASES) if several else DEFAULT_RELEASES[-1]
    parser.add_argument(
        "--release",
        dest="releases",
        action="append",
        default=[],
        metavar="RELEASE",
        help=f"run as this release of Linux (`thplab releases`){again} (default: {default})",
    )
    parser.add_argument(
        "--design",
        dest="designs",
        action="append",
        default=[],
        metavar="DESIGN",
        help="for developers: run on this design of the queue, a name or file.py:Class, instead of "
        f"the release's own{again}",
    )
    parser.add_argument(
        "--host-from",
        metavar="RESULT.json",
        help="give the model the nodes that a kernel had, as --format json wrote them down",
    )


def host_facts(scenario: Scenario, options: argparse.Namespace) -> HostFacts | None:
    """What --host-from says; None without it."""
    return load_host_facts(options.host_from, scenario.name) if options.host_from else None


def add_kernel_options(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """Add the options that name real kernels."""
    also = "also " if several else ""
    again = "; may be given several times" if several else ""
    parser.add_argument(
        "--kernel",
        dest="kernels",
        action="append",
        default=[],
        metavar="IMAGE",
        help=f"{also}on this kernel, in a virtual machine: an image file, or debian:6.12{again}",
    )
    parser.add_argument(
        "--on",
        choices=("host",),
        help=f"{also}on this host's kernel; needs root, and changes settings during the run",
    )
    add_time_limit(parser)


def add_time_limit(parser: argparse.ArgumentParser) -> None:
    """Add the option that limits the time of a guest."""
    parser.add_argument(
        "--time-limit",
        type=_seconds,
        metavar="SECONDS",
        help="kill a guest that takes longer for its boot, or for one scenario "
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
    """Print a line to standard error, apart from the result."""
    if not only_if_watched or sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


class Watched:
    """Called with each step; shows a progress bar for a long run if standard error is a terminal."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.begun = time.monotonic()
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if self.bar is None:
            if time.monotonic() - self.begun < PATIENCE_SECONDS or not sys.stderr.isatty():
                return
            self._start()
        assert self.bar is not None
        assert self.task is not None
        self.bar.update(self.task, completed=done, total=total)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task(self.title)
        self.bar.start()
