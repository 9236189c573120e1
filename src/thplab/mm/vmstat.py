# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's counters under the kernel's names (mm/vmstat.c; include/linux/huge_mm.h, enum mthp_stat_item, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

__all__ = ["MTHP_STATS", "VM_EVENTS", "VmStat", "mthp_size_name"]

VM_EVENTS: Final = (
    "allocstall_normal",
    "kswapd_high_wmark_hit_quickly",
    "oom_kill",
    "pageoutrun",
    "slabs_scanned",
    "thp_collapse_alloc",
    "thp_collapse_alloc_failed",
    "thp_deferred_split_page",
    "thp_fault_alloc",
    "thp_fault_fallback",
    "thp_fault_fallback_charge",
    "thp_migration_fail",
    "thp_migration_success",
    "thp_split_page",
    "thp_split_page_failed",
    "thp_split_pmd",
    "thp_underused_split_page",
)

MTHP_STATS: Final = (
    "anon_fault_alloc",
    "anon_fault_fallback",
    "anon_fault_fallback_charge",
    "nr_anon",
    "nr_anon_partially_mapped",
    "split",
    "split_deferred",
    "split_failed",
)


def mthp_size_name(order: i64) -> str:
    """The kernel's name of a size: "2048kB" for order 9."""
    return f"{4 << order}kB"


class VmStat:
    """/proc/vmstat's events, and hugepages-<size>/stats/, of one machine since it was made.

    Per-CPU counters on a real kernel: counting never contends, so it passes no scheduling point.
    """

    def __init__(self) -> None:
        self.events: dict[str, int] = dict.fromkeys(VM_EVENTS, 0)
        self.mthp: list[dict[str, int]] = [dict.fromkeys(MTHP_STATS, 0) for _ in range(10)]

    def count(self, event: str, delta: i64 = 1) -> None:
        """count_vm_event(), count_vm_events()."""
        self.events[event] += delta

    def mod_mthp(self, order: i64, item: str, delta: i64) -> None:
        """count_mthp_stat(), mod_mthp_stat()."""
        self.mthp[order][item] += delta
