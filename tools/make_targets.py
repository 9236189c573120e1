# SPDX-License-Identifier: GPL-2.0-only
"""The table of what can be made, from the Makefile: each target that says what it is."""

from __future__ import annotations

import re
from pathlib import Path

MAKEFILE = Path(__file__).resolve().parent.parent / "Makefile"
TARGET = re.compile(r"^([a-z-]+):.*?## (.+)$", re.MULTILINE)


def table() -> str:
    """The targets in the order of the Makefile, as Markdown."""
    rows = [f"| `make {name}` | {says} |" for name, says in TARGET.findall(MAKEFILE.read_text())]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])
