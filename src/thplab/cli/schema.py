# SPDX-License-Identifier: GPL-2.0-only
"""`thplab schema`: the JSON Schema of the scenario language, for editors."""

from __future__ import annotations

import argparse

from thplab.cli.output import check_writable, write_text

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE, whole or not at all")


def execute(options: argparse.Namespace) -> int:
    """Print the schema."""
    from thplab.scenario.json_schema import schema_text

    check_writable(options.output)
    write_text(options.output, schema_text())
    return 0
