# SPDX-License-Identifier: GPL-2.0-only
"""Keeps free memory where the model has it: on the free lists of the zones (mm/page_alloc.c).

By default each CPU may keep a quarter of a small node on lists of its own. The watermarks do not count
that, so a node would look full earlier at one boot than at the next. And a zone whose pageblocks are
taken over by the kernel's own memory raises its watermarks for a while (watermark_boost).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from thplab.agent.tunables import Tunables
from thplab.observe.vmstat import fold_per_cpu_counters

__all__ = ["drop_caches", "hold_free_lists_still"]

_FRACTION = 1 << 20
"""Of a zone's pages, what the lists of the CPUs may have: so little that the kernel's least counts, 4 batches."""

_REFRESHES = 64
"""Each time that a CPU folds its counters, its limit falls by an eighth, and it gives back what is above it
(decay_pcp_high()). So many times make any limit the least; a CPU that is idle would take a minute."""


def hold_free_lists_still(tunables: Tunables, vm: Path = Path("/proc/sys/vm")) -> None:
    """Short lists of the CPUs, and no boost; a kernel that lacks a file (5.14, 5.0) keeps its way."""
    for file, value in (
        ("percpu_pagelist_high_fraction", _FRACTION),
        ("watermark_boost_factor", 0),
    ):
        with contextlib.suppress(OSError):
            tunables.set(vm / file, value)
    for _ in range(_REFRESHES):
        fold_per_cpu_counters(vm.parent.parent)


def drop_caches(vm: Path = Path("/proc/sys/vm")) -> None:
    """Free what the kernel has cached of files that nobody maps, because reclaim would do so later."""
    with contextlib.suppress(OSError):
        (vm / "drop_caches").write_text("3", encoding="ascii")
