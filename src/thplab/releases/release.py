# SPDX-License-Identifier: GPL-2.0-only
"""Release: what kernels do differently, a field each, and the design of the deferred split queue.

The model does as the newest release. Each field names the attribute of the model that makes it do as
older ones, so a new difference is a field here and that attribute.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_origin, get_type_hints

import msgspec

from thplab.errors import InputError
from thplab.kernel_version import version_of

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["DIFFERENCES", "Difference", "Release"]


class Difference(NamedTuple):
    """One thing that kernels do since some release, and did not do before.

    Attributes:
        since: the release that brought it.
        model: the attribute of a Machine that switches it.
        about: what it is, in a sentence.
        source: the commit or the option that brought it, and the evidence.
        lost: releases before this one did it too; "": none.
    """

    since: str
    model: str
    about: str
    source: str
    lost: str = ""

    def in_version(self, version: tuple[int, int]) -> bool:
        """Whether kernels of a version do it."""
        had = bool(self.lost) and version < version_of(self.lost)
        return had or version >= version_of(self.since)


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a kernel does, as far as the model knows.

    Attributes:
        name: "6.12"; for a probed kernel, the release in its uname -r.
        design: the name of its design of the deferred split queue; "unknown" if the probe did not find it.

    Each other field is a Difference: whether the kernel does it.
    """

    name: str
    design: str
    recursive_protection: Annotated[
        bool,
        Difference(
            since="5.7",
            model="memcg.recursiveprot",
            about="a cgroup without memory.min and memory.low shares what its parent has of them, if cgroup2 is "
            "mounted with memory_recursiveprot, as systemd does",
            source="8a931f801340; there in the source of 6.12",
        ),
    ] = True
    reclaim_repeats_fully: Annotated[
        bool,
        Difference(
            since="6.9",
            model="vmscan.repeats_fully",
            about="direct reclaim that reclaimed nothing goes through all priorities once more",
            source="do_try_to_free_pages() repeats with memcg_full_walk, since b82b530740b9; there in the source "
            "of 6.12",
        ),
    ] = True
    migration_splits_queued: Annotated[
        bool,
        Difference(
            since="6.12",
            model="migration.splits_queued",
            about="migrate_pages() splits a partly mapped folio that waits on the queue before it moves it",
            source="7262f208ca68 (6.11: of any queued folio), only partly mapped ones since 6.12; "
            "seen on 6.12 and missing on 6.1 (move-pages)",
        ),
    ] = True
    migration_keeps_queued: Annotated[
        bool,
        Difference(
            since="6.12",
            model="migration.keeps_queued",
            about="a queued folio that moves keeps its place on the queue",
            source="8a8ca142a488, which the stable series brought to 6.12 (source of 6.12.117); "
            "missing on 6.1 (move-pages)",
        ),
    ] = True
    cpus_keep_huge_pages: Annotated[
        bool,
        Difference(
            since="5.14",
            model="pages.keeps_huge",
            about="a CPU takes two huge pages off the free lists at once, and keeps one of them on its own list, "
            "which no watermark counts as free",
            source="44042b449872; nr_pcp_alloc() of 6.12 and 7.3; seen in /proc/zoneinfo of 6.12 and 7.3",
        ),
    ] = True
    counters_drain_cpus: Annotated[
        bool,
        Difference(
            since="6.7",
            model="pages.refresh_drains",
            about="when a CPU folds its counters, each second or for vm.stat_refresh, it gives that huge page back",
            source="decay_pcp_high() of 6.12 and 7.3, 51a755c56dc0; seen in /proc/zoneinfo of 6.12 and 7.3",
        ),
    ] = True
    cold_keeps_whole: Annotated[
        bool,
        Difference(
            since="6.10",
            model="madvise.cold_keeps_whole",
            about="MADV_COLD of a whole huge page leaves it whole if page table entries map it; before, only "
            "one that a PMD maps",
            source="3931b871c494; there in the source of 6.12",
        ),
    ] = True
    splits_underused: Annotated[
        bool,
        Difference(
            since="6.12",
            model="huge_memory.splits_underused",
            about="the shrinker splits huge pages that hold mostly zeros, and a split gives pages of zeros "
            "the shared zero page",
            source="the file shrink_underused came with it; seen on 6.12 and missing on 6.1 (underused)",
        ),
    ] = True
    pt_reclaim: Annotated[
        bool,
        Difference(
            since="6.14",
            model="madvise.pt_reclaim",
            about="MADV_DONTNEED frees empty page tables, so that a huge page fits in again",
            source="CONFIG_PT_RECLAIM; probed on each kernel",
        ),
    ] = True
    reuse_large_folio: Annotated[
        bool,
        Difference(
            since="6.15",
            model="memory.reuse_large_folio",
            about="a write after a fork keeps a page of a large folio if no other task maps any page of it; "
            "before, it copies the page unless a PMD maps the whole folio",
            source="CONFIG_MM_ID; probed on each kernel",
        ),
    ] = True
    merges_into_untouched: Annotated[
        bool,
        Difference(
            since="6.16",
            model="mprotect.merges_into_untouched",
            about="a VMA that was touched is merged into a neighbour that was not, so that a huge page fits "
            "across the boundary again",
            source="879bca0a2c4f, in is_mergeable_anon_vma(); missing in the source of 6.12, there in that of 7.3",
        ),
    ] = True
    collapses_read_only: Annotated[
        bool,
        Difference(
            since="6.18",
            model="khugepaged.collapses_read_only",
            about="khugepaged and MADV_COLLAPSE collapse memory of which no page may be written",
            source="in the pull request of the mm tree for 6.18; SCAN_PAGE_RO is there in the source of 6.12, "
            "and missing in those of 7.2 and 7.3",
        ),
    ] = True
    collapses_shared: Annotated[
        bool,
        Difference(
            since="5.8",
            model="khugepaged.collapses_shared",
            about="khugepaged collapses memory that large folios or forked tasks share; before, only base pages "
            "that one task maps",
            source="SCAN_PAGE_COMPOUND and the count of 1 in khugepaged_scan_pmd() of a 5.4 tree; the file "
            "max_ptes_shared came with it",
        ),
    ] = True
    collapse_alloc_nmask: Annotated[
        bool,
        Difference(
            since="6.2",
            model="khugepaged.alloc_nmask",
            about="where several nodes have most of the pages, collapse takes the huge page from any of them; "
            "before, they take turns, and it fails if the one whose turn it is has none",
            source="e031ff96b334; last_khugepaged_target_node in a 5.4 tree, alloc_nmask in the source of 6.12",
        ),
    ] = True
    collapse_asks_folio: Annotated[
        bool,
        Difference(
            since="6.10",
            model="khugepaged.asks_folio",
            about="max_ptes_shared counts all entries of a large folio of which another task maps any page; "
            "before, it counts the pages that another task maps",
            source="1bafe96e89f0; there in the source of 6.12",
        ),
    ] = True
    collapse_unmaps_in_batches: Annotated[
        bool,
        Difference(
            since="6.17",
            model="khugepaged.unmaps_in_batches",
            about="collapse unmaps a large folio at once; before, page by page, so that it counts as partly mapped "
            "(thp_deferred_split_page)",
            source="4ea3594a4741; missing in the source of 6.12, there in that of 7.2",
        ),
    ] = True
    collapse_passes_holes: Annotated[
        bool,
        Difference(
            since="6.19",
            model="madvise.collapse_passes_holes",
            about="MADV_COLLAPSE goes on behind memory that was never touched; before, it ends there",
            source="the commit that lets it continue on SCAN_PMD_NONE, of the same batch as split_queue_reparented; "
            "missing in the source of 6.12, there in that of 7.2",
        ),
    ] = True
    khugepaged_counts_entries: Annotated[
        bool,
        Difference(
            since="7.1",
            model="khugepaged.counts_entries",
            about="a pass of khugepaged counts the entries that it looked at, so that it hurries past memory that "
            "is huge or was never touched; before, each range counts 512",
            source="the patch that refines the scan progress, of early 2026; missing in the source of 6.12, there in "
            "that of 7.2",
        ),
    ] = True
    scan_skips_mlocked: Annotated[
        bool,
        Difference(
            since="6.18",
            model="huge_memory.scan_skips_mlocked",
            about="the shrinker does not split an mlocked huge page unless it is partly mapped",
            source="in the pull request of the mm tree for 6.18; the source of 7.2 has it, that of 6.12 does not; "
            "probed on kernels with CONFIG_SHRINKER_DEBUG",
        ),
    ] = True
    noretry_reclaims: Annotated[
        bool,
        Difference(
            since="7.0",
            model="pages.noretry_reclaims",
            about="with defrag = always, a fault that was not advised to get a huge page reclaims for it once; before, "
            "not if compaction had too little free memory to work with",
            source="66987218154a (January 2026), in __alloc_pages_slowpath(); missing in the source of 6.12, there in "
            "those of 7.2 and 7.3",
        ),
    ] = True
    split_unmaps_each_pmd: Annotated[
        bool,
        Difference(
            since="7.0",
            lost="6.16",
            model="rmap.split_unmaps_each_pmd",
            about="a split of a huge page that PMDs of several tasks map unmaps it from each; from 6.16 on it stopped at the "
            "first PMD, so it failed, and had split that one",
            source="lost by 60fbb14396d5, mended by 939080834fef (March 2026, and the stable series of 6.19); in the source of 7.2, "
            "not lost yet in that of 6.12; seen on 6.18.15 in each of 12 runs; probed",
        ),
    ] = True
    hopeless_until_balanced: Annotated[
        bool,
        Difference(
            since="7.0",
            model="vmscan.hopeless_until_balanced",
            about="a kswapd that gave a node up takes it up again when reclaim makes progress there and the node "
            "is balanced; before, any progress was enough",
            source="kswapd_try_clear_hopeless(), there in the source of 7.2 and missing in that of 6.12; the "
            "release is not known better",
        ),
    ] = True
    reparents_lru_folios: Annotated[
        bool,
        Difference(
            since="7.1",
            model="objcgs.reparents_lru_folios",
            about="when a cgroup goes offline its memory becomes the parent's, node by node; before, it kept the "
            "dead cgroup from being freed",
            source="01b9da291c49 (an objcg for each cgroup and node) and f1cf8d2f36dc, merged in April 2026; there in the "
            "source of 7.2, missing in that of 6.12",
        ),
    ] = True
    direct_reclaim_protects: Annotated[
        bool,
        Difference(
            since="7.3",
            model="vmscan.direct_protects",
            about="direct reclaim of the whole machine computes what memory.min and memory.low protect; before, it "
            "went by what kswapd had last found, as long as the multi-generational LRU is on",
            source="shrink_one() in the source of 7.3; in those of 6.12 and 7.2 only lru_gen_age_node() of kswapd does; "
            "seen by a request of memory.reclaim to the root: 6.12.117 split what memory.min protects, 7.3.4 did not",
        ),
    ] = True
    refused_charges_count: Annotated[
        bool,
        Difference(
            since="7.3",
            model="charges.counts_refused",
            about="memory.events counts in max also a charge that was refused at once, such as that of a huge page "
            "that must not wait for reclaim",
            source="the end of try_charge_memcg() in the source of 7.3, compared with that of 7.2",
        ),
    ] = True

    scan_requeues_locked: Annotated[
        bool,
        Difference(
            since="7.2",
            model="huge_memory.scan_requeues_locked",
            about="a huge page that the scan of a list_lru cannot lock goes back to the queue, flagged or not; before, only "
            "a partly mapped one does",
            source="the source of 7.2 has it; that of 6.12 and the conversion to list_lru as first posted, against 7.0, "
            "do not; nobody has looked at 7.1",
        ),
    ] = True
    scan_skips_frozen: Annotated[
        bool,
        Difference(
            since="7.3",
            model="huge_memory.scan_skips_frozen",
            about="the scan of a list_lru leaves a huge page alone that has no references because they are frozen, or "
            "because the last was dropped; before, it takes it off the queue and clears its flag",
            source='"do not touch frozen folios in deferred_split_isolate()", which came with 7.3.4; missing in the '
            "source of 7.2.13",
        ),
    ] = True
    reclaim_stops_for_dying: Annotated[
        bool,
        Difference(
            since="7.3",
            model="vmscan.stops_for_dying",
            about="a write to memory.reclaim ends with EAGAIN once its cgroup is being removed, and one to memory.high or "
            "memory.max reclaims no more",
            source="user_proactive_reclaim(), memory_high_write() and memory_max_write() in the sources of 7.2, without it, "
            "and 7.3",
        ),
    ] = True

    @classmethod
    def of_version(cls, name: str, design: str) -> Release:
        """What kernels of a version ("6.14", or uname -r) do, with a design."""
        version = version_of(name)
        fields = {
            field: difference.in_version(version) for field, difference in DIFFERENCES.items()
        }
        return cls(name=".".join(map(str, version)), design=design, **fields)

    @property
    def version(self) -> tuple[int, int]:
        """The name as (major, minor), for comparisons."""
        return version_of(self.name)

    def has(self, since: str) -> bool:
        """Whether this release has what the release `since` brought; "": all have it."""
        return not since or self.version >= version_of(since)

    def apply(self, machine: Machine) -> None:
        """Make a machine do as this release."""
        for field, difference in DIFFERENCES.items():
            owner, _, name = difference.model.rpartition(".")
            place: Any = operator.attrgetter(owner)(machine)
            if not hasattr(place, name):
                raise AttributeError(f"{field}: the model has no {difference.model}")
            setattr(place, name, getattr(self, field))

    def differing(self, **found: bool) -> Release:
        """The same release with other values of some fields.

        Raises:
            InputError: there is no such field.
        """
        for field in found:
            if field not in DIFFERENCES:
                raise InputError(
                    f"a release has no field {field!r}; the fields are {', '.join(DIFFERENCES)}"
                )
        return msgspec.structs.replace(self, **found)


DIFFERENCES: dict[str, Difference] = {
    field: hint.__metadata__[0]
    for field, hint in get_type_hints(Release, include_extras=True).items()
    if get_origin(hint) is Annotated
}
"""The fields of a Release beside name and design."""
