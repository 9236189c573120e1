# SPDX-License-Identifier: GPL-2.0-only
"""Holds khugepaged still (mm/khugepaged.c).

Long sleeps alone are not enough. Without an address space to scan, khugepaged sleeps without a timeout,
and makes a pass as soon as the first one registers. The kernel also stops and starts it, with a pass at
the start, when a scenario switches huge pages off and on. So the agent registers an idle process before
all others, whose address space is vast and almost empty. It has half a million huge-page-sized ranges,
and a pass looks at 8 of them, so no pass ever reaches a scenario's tasks. The process touches one page at
the far end, because khugepaged skips a VMA that never had a fault (no anon_vma;
__thp_vma_allowable_orders()).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from thplab.agent import system_calls
from thplab.agent.task import Task
from thplab.agent.tunables import THP, Tunables
from thplab.mm.geometry import PAGE_SIZE

__all__ = ["Parking", "wait_until_khugepaged_sleeps"]

_MILLISECS = 1_000_000_000
_PATIENCE_SECONDS = 10.0
_VAST = 1 << 40
_SCAN_SLEEP = THP / "khugepaged/scan_sleep_millisecs"


class Parking:
    """Keeps khugepaged busy with an idle process, until the agent restores the tunables.

    Args:
        tunables: set its sleeps, and note the old values.
    """

    def __init__(self, tunables: Tunables) -> None:
        self._tunables = tunables
        self._anchor: Task | None = None

    def park(self) -> None:
        """Register the vast process first, and let khugepaged sleep."""
        self._tunables.set(THP / "enabled", "always")
        anchor = self._anchor = Task.start("anchor", [], -999)
        address, length = _map_vast(anchor)
        anchor.call("madvise", address, length, system_calls.MADV_NOHUGEPAGE)
        anchor.touch(address + length - PAGE_SIZE, PAGE_SIZE, 1)
        anchor.call("madvise", address, length, system_calls.MADV_HUGEPAGE)
        self._tunables.set(THP / "khugepaged/alloc_sleep_millisecs", _MILLISECS)
        self._tunables.set(_SCAN_SLEEP, _MILLISECS)
        wait_until_khugepaged_sleeps()

    def end(self) -> None:
        """End the vast process."""
        if self._anchor is not None:
            self._anchor.kill()
            self._anchor = None

    @contextlib.contextmanager
    def lifted(self, lift: bool) -> Iterator[None]:
        """Without the vast process within the context, if `lift`: for a scenario that has khugepaged awake.

        A pass then takes the vast process off khugepaged's list. With an empty list khugepaged sleeps
        without a timeout, as that of the model does, until the scenario registers an address space.
        """
        if lift:
            self.end()
            _SCAN_SLEEP.write_text(str(_MILLISECS), encoding="ascii")
            wait_until_khugepaged_sleeps()
        try:
            yield
        finally:
            if lift:
                self.park()


def _map_vast(anchor: Task) -> tuple[int, int]:
    """Map as much as a host with strict overcommit allows."""
    for size in (_VAST, _VAST >> 5):
        with contextlib.suppress(OSError):
            return anchor.map_nameless(size)
    return anchor.map_nameless(_VAST >> 10)


def wait_until_khugepaged_sleeps(proc: Path = Path("/proc")) -> None:
    """Wait for the end of a pass, because a write to a tunable may have started one."""
    for process in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text(encoding="ascii") == "khugepaged\n":
                give_up = time.monotonic() + _PATIENCE_SECONDS
                while "State:\tS" not in (process / "status").read_text(encoding="ascii"):
                    if time.monotonic() > give_up:
                        return
                    time.sleep(0.01)
                return
