# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's counters under the kernel's names (mm/vmstat.c; include/linux/huge_mm.h, enum mthp_stat_item, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from thplab.mm.geometry import NR_ORDERS, PAGE_SIZE

__all__ = [
    "ALLOCSTALL_NORMAL",
    "MTHP_STATS",
    "MTHP_STAT_ANON_FAULT_ALLOC",
    "MTHP_STAT_ANON_FAULT_FALLBACK",
    "MTHP_STAT_ANON_FAULT_FALLBACK_CHARGE",
    "MTHP_STAT_NR_ANON",
    "MTHP_STAT_NR_ANON_PARTIALLY_MAPPED",
    "MTHP_STAT_SPLIT",
    "MTHP_STAT_SPLIT_DEFERRED",
    "MTHP_STAT_SPLIT_FAILED",
    "OOM_KILL",
    "PAGEOUTRUN",
    "SLABS_SCANNED",
    "THP_COLLAPSE_ALLOC",
    "THP_COLLAPSE_ALLOC_FAILED",
    "THP_DEFERRED_SPLIT_PAGE",
    "THP_FAULT_ALLOC",
    "THP_FAULT_FALLBACK",
    "THP_FAULT_FALLBACK_CHARGE",
    "THP_MIGRATION_FAIL",
    "THP_MIGRATION_SPLIT",
    "THP_MIGRATION_SUCCESS",
    "THP_SPLIT_PAGE",
    "THP_SPLIT_PAGE_FAILED",
    "THP_SPLIT_PMD",
    "THP_UNDERUSED_SPLIT_PAGE",
    "VM_EVENTS",
    "VmStat",
    "mthp_size_name",
]

# enum vm_event_item, as far as the model has it: the place of each in VM_EVENTS.
ALLOCSTALL_NORMAL: Final[i64] = 0
OOM_KILL: Final[i64] = 1
PAGEOUTRUN: Final[i64] = 2
SLABS_SCANNED: Final[i64] = 3
THP_COLLAPSE_ALLOC: Final[i64] = 4
THP_COLLAPSE_ALLOC_FAILED: Final[i64] = 5
THP_DEFERRED_SPLIT_PAGE: Final[i64] = 6
THP_FAULT_ALLOC: Final[i64] = 7
THP_FAULT_FALLBACK: Final[i64] = 8
THP_FAULT_FALLBACK_CHARGE: Final[i64] = 9
THP_MIGRATION_FAIL: Final[i64] = 10
THP_MIGRATION_SPLIT: Final[i64] = 11
THP_MIGRATION_SUCCESS: Final[i64] = 12
THP_SPLIT_PAGE: Final[i64] = 13
THP_SPLIT_PAGE_FAILED: Final[i64] = 14
THP_SPLIT_PMD: Final[i64] = 15
THP_UNDERUSED_SPLIT_PAGE: Final[i64] = 16

VM_EVENTS: Final = (
    "allocstall_normal",
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
    "thp_migration_split",
    "thp_migration_success",
    "thp_split_page",
    "thp_split_page_failed",
    "thp_split_pmd",
    "thp_underused_split_page",
)

# enum mthp_stat_item: the place of each in MTHP_STATS.
MTHP_STAT_ANON_FAULT_ALLOC: Final[i64] = 0
MTHP_STAT_ANON_FAULT_FALLBACK: Final[i64] = 1
MTHP_STAT_ANON_FAULT_FALLBACK_CHARGE: Final[i64] = 2
MTHP_STAT_NR_ANON: Final[i64] = 3
MTHP_STAT_NR_ANON_PARTIALLY_MAPPED: Final[i64] = 4
MTHP_STAT_SPLIT: Final[i64] = 5
MTHP_STAT_SPLIT_DEFERRED: Final[i64] = 6
MTHP_STAT_SPLIT_FAILED: Final[i64] = 7

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
    return f"{(PAGE_SIZE << order) // 1024}kB"


class _Counter:
    """A boxed counter: a store into it is cheaper than one into a list of numbers."""

    def __init__(self) -> None:
        self.value: i64 = 0


class VmStat:
    """/proc/vmstat's events, and hugepages-<size>/stats/, of one machine since it was made.

    Per-CPU counters on a real kernel: counting never contends, so it passes no scheduling point.
    """

    def __init__(self) -> None:
        self._events: list[_Counter] = [_Counter() for _ in VM_EVENTS]
        self._mthp: list[list[_Counter]] = [
            [_Counter() for _ in MTHP_STATS] for _ in range(NR_ORDERS)
        ]

    def count(self, event: i64, delta: i64 = 1) -> None:
        """count_vm_event(), count_vm_events()."""
        self._events[event].value += delta

    def mod_mthp(self, order: i64, item: i64, delta: i64) -> None:
        """count_mthp_stat(), mod_mthp_stat()."""
        self._mthp[order][item].value += delta

    @property
    def events(self) -> dict[str, int]:
        """The events by name."""
        return {name: self._events[place].value for place, name in enumerate(VM_EVENTS)}

    @property
    def mthp(self) -> list[dict[str, int]]:
        """By order, the counters of that size by name."""
        return [
            {name: counters[place].value for place, name in enumerate(MTHP_STATS)}
            for counters in self._mthp
        ]
