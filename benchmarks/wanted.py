# SPDX-License-Identifier: GPL-2.0-only
"""What is wanted of speed and size, and what a run of CI must not fall below."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BYTES_PER_FOLIO",
    "CHECK_SLOWER",
    "CHECK_SPEEDUP",
    "LIST_SLOT",
    "SCALE_FROM",
    "SCALE_RATIO",
    "SCALE_TO",
    "SPEEDUP",
    "TERABYTE_MIB",
    "TERABYTE_SECONDS",
    "at_most",
]

SPEEDUP: Final = 8.0
"""How many times faster than interpreted the compiled model is to be, for each operation."""

BYTES_PER_FOLIO: Final = 130.0
"""Resident bytes of a queued folio, its slot in a Python list not counted."""

LIST_SLOT: Final = 8.0

TERABYTE_SECONDS: Final = 6.0
TERABYTE_MIB: Final = 400.0
"""Of scenarios/terabyte.toml, the whole command."""

SCALE_FROM: Final = 65_536
SCALE_TO: Final = 4_194_304
SCALE_RATIO: Final = 1.6
"""The cost of a folio among SCALE_TO, in times that of one among SCALE_FROM."""

CHECK_SLOWER: Final = 6.0
CHECK_SPEEDUP: Final = 2.0
"""What --check lets pass, as factors on the two kinds of ratio: a busy machine does not reach them,
a hot path that is no longer compiled, or boxes its numbers again, does."""


def at_most(operation: str) -> float:
    """How many times slower than C the compiled model may be, at 10,000 folios."""
    return 8.0 if operation == "queue" else 5.0
