# SPDX-License-Identifier: GPL-2.0-only
"""What a case does, as a number: tells whether a schedule or a checkpoint still fits it."""

from __future__ import annotations

import zlib

from thplab.explorer.core import Engine
from thplab.explorer.core_check import Case
from thplab.explorer.core_search import once

__all__ = ["fingerprint"]


def fingerprint(case: Case) -> int:
    """A number that changes when what the case does changes: the operations of its first execution."""
    engine = Engine(case, [])
    once(engine, case)
    steps = [(int(engine.nodes[n].lane), int(engine.nodes[n].op)) for n in range(int(engine.n))]
    return zlib.crc32(repr(steps).encode())
