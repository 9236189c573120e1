# SPDX-License-Identifier: GPL-2.0-only
"""/sys/kernel/mm/transparent_hugepage/hugepages-*kB/stats: counters for each size of folio.

Linux 6.10 began with three of them; the queue's own (split_deferred, nr_anon,
nr_anon_partially_mapped) came with 6.11 and 6.12.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["GAUGES", "THP_DIRECTORY", "read_mthp"]

THP_DIRECTORY = Path("kernel/mm/transparent_hugepage")
"""Below /sys."""

GAUGES = frozenset({"nr_anon", "nr_anon_partially_mapped"})
"""Those that are a number of folios now, not a count of events."""


def read_mthp(sys: Path = Path("/sys")) -> dict[str, dict[str, int]]:
    """The counters of each size that has any, by the kernel's name of the size ("2048kB").

    The dictionary is empty if this kernel has none.
    """
    sizes = {}
    for directory in sorted((sys / THP_DIRECTORY).glob("hugepages-*kB/stats")):
        size = directory.parent.name.removeprefix("hugepages-")
        sizes[size] = {
            file.name: int(file.read_text(encoding="ascii")) for file in sorted(directory.iterdir())
        }
    return sizes
