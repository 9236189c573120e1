# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's counters under the kernel's names (include/linux/vmstat.h, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from thplab.mm.geometry import NR_ORDERS, PAGE_SIZE

__all__ = [
    "ALLOCSTALL_NORMAL",
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
    "THP_SCAN_EXCEED_NONE_PTE",
    "THP_SCAN_EXCEED_SHARED_PTE",
    "THP_SCAN_EXCEED_SWAP_PTE",
    "THP_SPLIT_PAGE",
    "THP_SPLIT_PAGE_FAILED",
    "THP_SPLIT_PMD",
    "THP_UNDERUSED_SPLIT_PAGE",
    "Counter",
    "VmStat",
    "counters",
    "mthp_size_name",
]


class Counter:
    """A counter of the kernel.

    Attributes:
        name: the kernel's. since: the release that brought it. meaning: what it counts.
        place: among the counters of its kind.
    """

    def __init__(self, kind: list[Counter], name: str, since: str, meaning: str) -> None:
        self.name: str = name
        self.since: str = since
        self.meaning: str = meaning
        self.place: i64 = len(kind)
        kind.append(self)


# One row each.
# fmt: off
_E: Final[list[Counter]] = []
"""enum vm_event_item, as far as the model has it: lines of /proc/vmstat."""

ALLOCSTALL_NORMAL: Final = Counter(_E, "allocstall_normal", "4.8", "allocations that had to reclaim memory themselves")
OOM_KILL: Final = Counter(_E, "oom_kill", "4.13", "tasks that the OOM killer killed")
PAGEOUTRUN: Final = Counter(_E, "pageoutrun", "2.6", "runs of kswapd")
SLABS_SCANNED: Final = Counter(_E, "slabs_scanned", "2.6", "objects that shrinkers were asked to visit")
THP_COLLAPSE_ALLOC: Final = Counter(_E, "thp_collapse_alloc", "2.6.39", "huge pages allocated to collapse base pages into")
THP_COLLAPSE_ALLOC_FAILED: Final = Counter(_E, "thp_collapse_alloc_failed", "2.6.39", "collapses that found no free huge page")
THP_DEFERRED_SPLIT_PAGE: Final = Counter(_E, "thp_deferred_split_page", "4.5", "huge pages queued because they became partially mapped")
THP_FAULT_ALLOC: Final = Counter(_E, "thp_fault_alloc", "2.6.39", "faults that got a huge page")
THP_FAULT_FALLBACK: Final = Counter(_E, "thp_fault_fallback", "2.6.39", "faults that wanted a huge page and got a base page")
THP_FAULT_FALLBACK_CHARGE: Final = Counter(_E, "thp_fault_fallback_charge", "5.8", "of these, those whose cgroup had no room for a huge page")
THP_MIGRATION_FAIL: Final = Counter(_E, "thp_migration_fail", "5.9", "huge pages that could not move to another node whole")
THP_MIGRATION_SPLIT: Final = Counter(_E, "thp_migration_split", "5.9", "of these, those that were split, and moved in pieces")
THP_MIGRATION_SUCCESS: Final = Counter(_E, "thp_migration_success", "5.9", "huge pages that moved to another node whole")
THP_SCAN_EXCEED_NONE_PTE: Final = Counter(_E, "thp_scan_exceed_none_pte", "5.17", "ranges that khugepaged left because of max_ptes_none")
THP_SCAN_EXCEED_SHARED_PTE: Final = Counter(_E, "thp_scan_exceed_share_pte", "5.17", "ranges that khugepaged left because of max_ptes_shared")
THP_SCAN_EXCEED_SWAP_PTE: Final = Counter(_E, "thp_scan_exceed_swap_pte", "5.17", "ranges that khugepaged left because of max_ptes_swap")
THP_SPLIT_PAGE: Final = Counter(_E, "thp_split_page", "4.5", "huge pages split into base pages")
THP_SPLIT_PAGE_FAILED: Final = Counter(_E, "thp_split_page_failed", "4.5", "splits that failed because the huge page was in use")
THP_SPLIT_PMD: Final = Counter(_E, "thp_split_pmd", "4.5", "PMD entries replaced by 512 page table entries")
THP_UNDERUSED_SPLIT_PAGE: Final = Counter(_E, "thp_underused_split_page", "6.12", "huge pages split because most of their pages held only zeros")

_M: Final[list[Counter]] = []
"""enum mthp_stat_item, as far as the model has it: files of hugepages-<size>kB/stats/."""

MTHP_STAT_ANON_FAULT_ALLOC: Final = Counter(_M, "anon_fault_alloc", "6.10", "faults that got a folio of this size")
MTHP_STAT_ANON_FAULT_FALLBACK: Final = Counter(_M, "anon_fault_fallback", "6.10", "faults that wanted this size and got a smaller one")
MTHP_STAT_ANON_FAULT_FALLBACK_CHARGE: Final = Counter(_M, "anon_fault_fallback_charge", "6.10", "of these, those whose cgroup had no room for this size")
MTHP_STAT_NR_ANON: Final = Counter(_M, "nr_anon", "6.12", "anonymous folios of this size that there are")
MTHP_STAT_NR_ANON_PARTIALLY_MAPPED: Final = Counter(_M, "nr_anon_partially_mapped", "6.12", "of these, those flagged as partially mapped")
MTHP_STAT_SPLIT: Final = Counter(_M, "split", "6.11", "folios of this size that were split")
MTHP_STAT_SPLIT_DEFERRED: Final = Counter(_M, "split_deferred", "6.11", "folios of this size queued because they became partially mapped")
MTHP_STAT_SPLIT_FAILED: Final = Counter(_M, "split_failed", "6.11", "splits that failed because the folio was in use")
# fmt: on


def counters() -> list[tuple[str, Counter]]:
    """Each counter with its kind, as a path of figures begins: "vmstat" or "mthp"."""
    return [("vmstat", counter) for counter in _E] + [("mthp", counter) for counter in _M]


def mthp_size_name(order: i64) -> str:
    """The kernel's name of a size: "2048kB" for order 9."""
    return f"{(PAGE_SIZE << order) // 1024}kB"


class _Count:
    """A boxed number: a store into it is cheaper than one into a list of numbers."""

    def __init__(self) -> None:
        self.value: i64 = 0


class VmStat:
    """/proc/vmstat's events, and hugepages-<size>/stats/, of one machine since it was made.

    Per-CPU counters on a real kernel: counting never contends, so it passes no scheduling point.
    """

    def __init__(self) -> None:
        self._events: list[_Count] = [_Count() for _ in _E]
        self._mthp: list[list[_Count]] = [[_Count() for _ in _M] for _ in range(NR_ORDERS)]

    def count(self, event: Counter, delta: i64 = 1) -> None:
        """count_vm_event(), count_vm_events()."""
        self._events[event.place].value += delta

    def mod_mthp(self, order: i64, item: Counter, delta: i64) -> None:
        """count_mthp_stat(), mod_mthp_stat() (include/linux/huge_mm.h)."""
        self._mthp[order][item.place].value += delta

    @property
    def events(self) -> dict[str, int]:
        """The events by name."""
        return {event.name: self._events[event.place].value for event in _E}

    @property
    def mthp(self) -> list[dict[str, int]]:
        """By order, the counters of that size by name."""
        return [{item.name: counts[item.place].value for item in _M} for counts in self._mthp]
