# SPDX-License-Identifier: GPL-2.0-only
"""/sys/kernel/mm/transparent_hugepage/khugepaged: what the daemon has done since the kernel was booted (mm/khugepaged.c)."""

from __future__ import annotations

from pathlib import Path

from thplab.observe.mthp import THP_DIRECTORY
from thplab.scenario.observation import KhugepagedFigures

__all__ = ["read_khugepaged"]


def read_khugepaged(sys: Path = Path("/sys")) -> KhugepagedFigures:
    """Its two counters."""
    folder = sys / THP_DIRECTORY / "khugepaged"
    return KhugepagedFigures(
        full_scans=int((folder / "full_scans").read_text(encoding="ascii")),
        pages_collapsed=int((folder / "pages_collapsed").read_text(encoding="ascii")),
    )
