# SPDX-License-Identifier: GPL-2.0-only
"""`thplab doctor`: what is needed for which part, whether it is here, and the remedy."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table

from thplab.backends.doctor import examine

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options: it has none."""


def execute(options: argparse.Namespace) -> int:
    """Print a line for each thing."""
    del options
    table = Table("thing", "for", "state", "found", "remedy", box=None, pad_edge=False)
    for finding in examine():
        table.add_row(finding.thing, finding.use, finding.state, finding.found, finding.remedy)
    width = None if sys.stdout.isatty() else 160
    Console(width=width, highlight=False, markup=False).print(table)
    return 0
