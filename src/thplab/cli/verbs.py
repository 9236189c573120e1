# SPDX-License-Identifier: GPL-2.0-only
"""The verbs of `thplab`, a line each.

A verb is a module with `configure(parser)`, which adds its options, and `execute(options) -> int`,
which does the work and returns the status. It is imported when it is chosen.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import NamedTuple, Protocol, cast

__all__ = ["VERBS", "Verb", "VerbModule", "load_verb"]


class VerbModule(Protocol):
    """What the module of a verb has."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""

    def execute(self, options: argparse.Namespace) -> int:
        """Do it; the status of the command."""


class Verb(NamedTuple):
    """A verb's name, what `thplab --help` says of it, and its module."""

    name: str
    summary: str
    module: str


VERBS = (
    Verb("bugs", "find every known bug again by searching interleavings", "thplab.cli.bugs"),
    Verb("compare", "run a scenario on several designs, side by side", "thplab.cli.compare"),
    Verb("doctor", "what thplab can use here, and how to get the rest", "thplab.cli.doctor"),
    Verb("explore", "search the interleavings of a design", "thplab.cli.explore"),
    Verb("fuzz", "hold the model against a kernel with random scenarios", "thplab.cli.fuzz"),
    Verb("run", "run a scenario on one design or one kernel", "thplab.cli.run"),
    Verb("scenarios", "list the scenarios that come with thplab", "thplab.cli.scenarios"),
    Verb("schema", "print the JSON Schema of the scenario language", "thplab.cli.schema"),
    Verb("verify", "hold the model against real kernels, figure by figure", "thplab.cli.verify"),
)


def load_verb(name: str) -> VerbModule:
    """Import the module of a verb."""
    module = next(verb.module for verb in VERBS if verb.name == name)
    return cast("VerbModule", import_module(module))
