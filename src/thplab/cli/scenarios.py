# SPDX-License-Identifier: GPL-2.0-only
"""`thplab scenarios`: the library, a line each."""

from __future__ import annotations

import argparse

from thplab.cli.output import write_text
from thplab.scenario.errors import ScenarioError
from thplab.scenario.library import library_files
from thplab.scenario.loader import load

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "--paths", action="store_true", help="the paths of the files and nothing else"
    )


def execute(options: argparse.Namespace) -> int:
    """Print name, number of claims and summary of each; status 2 if one cannot be read."""
    if options.paths:
        write_text(None, "".join(f"{file}\n" for file in library_files()))
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("scenario", no_wrap=True)
    table.add_column("claims", justify="right")
    table.add_column("what it shows")
    broken = False
    for file in library_files():
        try:
            scenario = load(file)
        except ScenarioError as error:
            broken = True
            table.add_row(Text(file.stem), "-", Text(str(error), style="red"))
        else:
            table.add_row(Text(file.stem), str(len(scenario.claims)), Text(scenario.summary))
    Console(highlight=False).print(table)
    return 2 if broken else 0
