# SPDX-License-Identifier: GPL-2.0-only
"""Holding khugepaged still (mm/khugepaged.c).

Long sleeps alone do not do it: with no address space to scan, khugepaged sleeps without a timeout,
and makes a pass as soon as the first one registers, which may be in the middle of a scenario. So an
idle process that is registered keeps it in its long sleep. And it is stopped and started again, with a
pass at the start, when huge pages are switched off and on, unless shared memory may have some.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from thplab.agent.system_calls import MADV_HUGEPAGE
from thplab.agent.task import Task
from thplab.agent.task_process import Operation
from thplab.agent.tunables import THP, Tunables

__all__ = ["khugepaged_parked"]

_MILLISECS = 1_000_000_000
_PATIENCE_SECONDS = 10.0
_HUGE_PAGE = 2 << 20


@contextlib.contextmanager
def khugepaged_parked(tunables: Tunables) -> Iterator[None]:
    """Keep khugepaged asleep; whoever restores the tunables wakes it.

    Args:
        tunables: what is changed is noted there.
    """
    with contextlib.suppress(OSError):  # a kernel without shared memory, or one that is older
        tunables.set(THP / "shmem_enabled", "advise")
    tunables.set(THP / "enabled", "always")
    anchor = Task.start("anchor", [], -999)
    try:
        region = anchor.new_region("never touched", _HUGE_PAGE)
        anchor.command(Operation.MADVISE, region.address, region.size, MADV_HUGEPAGE)
        tunables.set(THP / "khugepaged/alloc_sleep_millisecs", _MILLISECS)
        tunables.set(THP / "khugepaged/scan_sleep_millisecs", _MILLISECS)
        _wait_until_it_sleeps()
        yield
    finally:
        anchor.kill()


def _wait_until_it_sleeps(proc: Path = Path("/proc")) -> None:
    """The last tunable woke it for one pass over next to nothing."""
    for process in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text(encoding="ascii") == "khugepaged\n":
                give_up = time.monotonic() + _PATIENCE_SECONDS
                while "State:\tS" not in (process / "status").read_text(encoding="ascii"):
                    if time.monotonic() > give_up:
                        return
                    time.sleep(0.01)
                return
