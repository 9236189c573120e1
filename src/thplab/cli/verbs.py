# SPDX-License-Identifier: GPL-2.0-only
"""The verbs of `thplab`, a line each.

A verb is a class with `configure(parser)`, which adds its options, and `execute(options) -> int`,
which does the work and returns the exit status. The command imports the module of the chosen verb only.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import NamedTuple, Protocol, cast

__all__ = ["VERBS", "Verb", "VerbClass", "load_verb"]


class VerbClass(Protocol):
    """What a verb does."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""

    def execute(self, options: argparse.Namespace) -> int:
        """Do the work; return the exit status."""


class Verb(NamedTuple):
    """A verb's name, its line in `thplab --help`, its module in thplab.cli, and its class."""

    name: str
    summary: str
    module: str
    kind: str


VERBS = (
    Verb("bugs", "find every known bug again by searching interleavings", "explorer_verbs", "Bugs"),
    Verb(
        "compare", "run a scenario as several releases, side by side", "scenario_verbs", "Compare"
    ),
    Verb("doctor", "what thplab can use here, and how to get the rest", "kernel_verbs", "Doctor"),
    Verb("explore", "search the interleavings of a design", "explorer_verbs", "Explore"),
    Verb(
        "findings",
        "what the explorer found, and which kernels have it",
        "findings_verbs",
        "Findings",
    ),
    Verb("fuzz", "compare the model with a kernel on random scenarios", "kernel_verbs", "Fuzz"),
    Verb("kernels", "list the kernels that --kernel can name here", "kernel_verbs", "Kernels"),
    Verb(
        "releases", "list the releases of Linux that the model knows", "scenario_verbs", "Releases"
    ),
    Verb("run", "run a scenario once: a release, a design or a kernel", "scenario_verbs", "RunOne"),
    Verb("scenarios", "list the scenarios that come with thplab", "scenario_verbs", "Scenarios"),
    Verb("schema", "print the JSON Schema of the scenario language", "scenario_verbs", "Schema"),
    Verb(
        "verify", "compare the model with real kernels, figure by figure", "kernel_verbs", "Verify"
    ),
)


def load_verb(name: str) -> VerbClass:
    """Import the module of a verb, and make an instance of its class."""
    verb = next(verb for verb in VERBS if verb.name == name)
    module = import_module(f"thplab.cli.{verb.module}")
    return cast("VerbClass", getattr(module, verb.kind)())
