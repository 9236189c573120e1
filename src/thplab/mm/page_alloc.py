# SPDX-License-Identifier: GPL-2.0-only
"""Nodes, watermarks, and the allocator's way from the free lists to reclaim and OOM (mm/page_alloc.c, 7.3).

A node has one count of free base pages, and how many of them lie scattered in blocks that are
partly used, so that no huge page can be made of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import H
from thplab.cpu.spinlock import LockClass, SpinLock
from thplab.mm.geometry import HPAGE_PMD_NR, HPAGE_PMD_ORDER, PAGE_SIZE
from thplab.mm.gfp import GFP_DIRECT_RECLAIM, GFP_KSWAPD_RECLAIM, GFP_NORETRY, GFP_THISNODE
from thplab.mm.mm_types import MmStruct

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Node", "PageAllocator", "build_all_zonelists", "min_free_kbytes"]

PAGEBLOCK_NR_PAGES: Final[i64] = HPAGE_PMD_NR
MIGRATE_PCPTYPES: Final[i64] = 3
ZONE_LOCK: Final = LockClass("&zone->lock")
DMA_END: Final = 16 << 20
DMA32_END: Final = 4 << 30
MAX_NUMNODES: Final = 1024
"""With CONFIG_NODES_SHIFT at 10, as distributions have it; more than nodes can be loaded, which is all that counts."""
LOCAL_DISTANCE: Final = 10
REMOTE_DISTANCE: Final = 20


class Node:
    """pg_data_t, with its zones as one.

    Attributes:
        managed: base pages in all. free: base pages free.
        fragmented: of the free ones, those in blocks that are partly used.
        wmark_min, wmark_low, wmark_high: in base pages.
        nr_anon, nr_anon_thps: NR_ANON_MAPPED and NR_ANON_THPS, in base pages.
        kswapd_failures: runs of kswapd that reclaimed nothing, in a row.
        pcp_batch: huge pages that a CPU takes off the free lists at once; more than one only with a kernel's figures.
        files: clean pages of files, which reclaim finds; only with a kernel's figures.
        pcp_huge: huge pages on the list of the CPU on which the tasks run (per_cpu_pages). They are not free.
    """

    def __init__(self, nid: i64, size: i64) -> None:
        self.nid: i64 = nid
        self.managed: i64 = size // PAGE_SIZE
        self.free: i64 = self.managed
        self.fragmented: i64 = 0
        self.wmark_min: i64 = 0
        self.wmark_low: i64 = 0
        self.wmark_high: i64 = 0
        self.nr_anon: i64 = 0
        self.nr_anon_thps: i64 = 0
        self.kswapd_failures: i64 = 0
        self.pcp_batch: i64 = 1
        self.pcp_huge: i64 = 0
        self.files: i64 = 0
        self.lock: SpinLock = SpinLock(ZONE_LOCK)

    def take(self, order: i64, count: i64, watermark: i64) -> i64:
        """rmqueue(): up to `count` blocks of this order that leave `watermark` base pages. How many."""
        available = self.free - watermark
        if order > 0:
            # A block must be whole; what is scattered cannot be part of one.
            available = min(available, self.free - self.fragmented)
        taken = min(count, available >> order) if available > 0 else 0
        if taken > 0:
            if H.on:
                self.lock.lock_irqsave()
            if order == HPAGE_PMD_ORDER and self.pcp_batch > 1:
                self._rmqueue_pcplist()
            else:
                self.free -= taken << order
            if order == 0:
                # The smallest free piece is used first.
                self.fragmented -= min(self.fragmented, taken)
            if H.on:
                self.lock.unlock_irqrestore()
        return taken

    def _rmqueue_pcplist(self) -> None:
        """__rmqueue_pcplist(): one huge page of the CPU's own list. An empty list gets some from the free lists
        first, whatever the watermark says of the others.
        """
        if self.pcp_huge == 0:
            self.pcp_huge = min(self.pcp_batch, (self.free - self.fragmented) >> HPAGE_PMD_ORDER)
            self.free -= self.pcp_huge << HPAGE_PMD_ORDER
        self.pcp_huge -= 1

    def drain_pages(self) -> None:
        """drain_pages_zone(): what is on the CPU's list is free again."""
        if self.pcp_huge:
            self.give(self.pcp_huge << HPAGE_PMD_ORDER)
            self.pcp_huge = 0

    def give(self, nr_pages: i64, scattered: i64 = 0) -> None:
        """__free_frozen_pages(): `nr_pages` come back, `scattered` of them in blocks still partly used."""
        if H.on:
            self.lock.lock_irqsave()
        self.free += nr_pages
        self.fragmented += scattered
        if H.on:
            self.lock.unlock_irqrestore()
        assert self.free <= self.managed, "more memory was freed than there is"

    def made_whole(self, nr_pages: i64) -> None:
        """A block whose `nr_pages` lay free in pieces has become wholly free."""
        self.fragmented -= min(self.fragmented, nr_pages)


def min_free_kbytes(sizes: list[int]) -> int:
    """calculate_min_free_kbytes(): and what khugepaged raises it to (set_recommended_min_free_kbytes()).

    Args:
        sizes: bytes of each node, laid out one after the other from address 0.
    """
    total = sum(sizes)
    base = min(max(math.isqrt(total // 1024 * 16), 128), 262144)
    nr_zones = 0
    start = 0
    for size in sizes:
        for low, high in ((0, DMA_END), (DMA_END, DMA32_END), (DMA32_END, 1 << 63)):
            nr_zones += start < high and start + size > low
        start += size
    recommended = int(PAGEBLOCK_NR_PAGES) * nr_zones * (2 + int(MIGRATE_PCPTYPES) ** 2)
    recommended = min(recommended, total // int(PAGE_SIZE) // 20)
    return max(base, recommended * 4)


def build_all_zonelists(count: int, distances: list[list[int]] | None) -> list[list[int]]:
    """build_all_zonelists(): for each node the order in which its allocations try the nodes.

    A penalty for nodes with CPUs counts for none of them: the kernel builds the lists before it
    has brought up any CPU's node (numa_add_cpu()).
    """
    load = [0] * count
    zonelists: list[list[int]] = []
    for nid in range(count):
        order = [nid]
        before = LOCAL_DISTANCE
        while len(order) < count:
            best = _find_next_best_node(nid, order, load, distances)
            distance = _node_distance(nid, best, distances)
            # The first of equally distant nodes is taken last the next time.
            if distance != before:
                load[best] += 1
            order.append(best)
            before = distance
        zonelists.append(order)
    return zonelists


def _find_next_best_node(
    nid: int, used: list[int], load: list[int], distances: list[list[int]] | None
) -> int:
    """find_next_best_node(): the nearest one left; of equally near ones a later one, then the least loaded."""
    best = -1
    least = 0
    for n in range(len(load)):
        if n in used:
            continue
        value = (_node_distance(nid, n, distances) + int(n < nid)) * MAX_NUMNODES + load[n]
        if best < 0 or value < least:
            best = n
            least = value
    return best


def _node_distance(nid: int, other: int, distances: list[list[int]] | None) -> int:
    """node_distance() (include/linux/topology.h)."""
    if distances is not None:
        return distances[nid][other]
    return LOCAL_DISTANCE if nid == other else REMOTE_DISTANCE


@mypyc_attr(allow_interpreted_subclasses=True)
class PageAllocator:
    """The page allocator of one machine.

    Args:
        machine: its owner.
        sizes: bytes of each node.
        distances: node distances (SLIT); None: 10 for the node itself, 20 for any other.

    Attributes:
        zonelists: for each node, the order in which its allocations try the nodes.
        noretry_reclaims: a huge page that may be tried once (GFP_NORETRY) is tried with reclaim even if
            compaction had no chance (66987218154a, 7.0).
        keeps_huge: CPUs have huge pages on their own lists (44042b449872, 5.14).
        refresh_drains: who folds the CPUs' counters also shortens their lists (51a755c56dc0, 6.7).
    """

    def __init__(
        self, machine: Machine, sizes: list[int], distances: list[list[int]] | None
    ) -> None:
        self.machine: Machine = machine
        self.nodes: list[Node] = [Node(nid, size) for nid, size in enumerate(sizes)]
        self.totalpages: i64 = sum(sizes) // PAGE_SIZE
        self.zonelists: list[list[int]] = build_all_zonelists(len(sizes), distances)
        self.thisnode: list[list[int]] = [[nid] for nid in range(len(sizes))]
        self.noretry_reclaims: bool = True
        self.keeps_huge: bool = True
        self.refresh_drains: bool = True
        self._set_watermarks(min_free_kbytes(sizes))

    def _set_watermarks(self, kbytes: i64) -> None:
        """__setup_per_zone_wmarks(): each node's part of min_free_kbytes; low and high a quarter above each."""
        pages_min = kbytes // 4
        for node in self.nodes:
            share = pages_min * node.managed // self.totalpages
            step = max(share // 4, node.managed * 10 // 10000)
            node.wmark_min = share
            node.wmark_low = share + step
            node.wmark_high = share + 2 * step

    def found(
        self,
        nid: i64,
        managed: i64,
        free: i64,
        fragmented: i64,
        wmarks: tuple[i64, i64, i64],
        batch: i64,
    ) -> None:
        """Start with what a node of a real kernel had; `wmarks` are min, low and high. All in base pages.

        Args:
            batch: what a CPU takes off the free lists at once. For huge pages that is two, unless the zone is so
                small that its CPUs may keep nothing (nr_pcp_alloc()).
        """
        node = self.nodes[nid]
        node.pcp_batch = 2 if batch > 1 and self.keeps_huge else 1
        self.totalpages += managed - node.managed
        node.managed = managed
        node.free = free
        node.fragmented = fragmented
        node.wmark_min, node.wmark_low, node.wmark_high = wmarks

    def alloc_huge(self, order: i64, nid: i64, nodemask: list[int] | None, gfp: i64) -> i64:
        """alloc_pages() (include/linux/gfp.h): of one block of order > 0. Its node, or -1.

        Looks at the low watermark, then at the min watermark; with GFP_DIRECT_RECLAIM reclaims once and
        looks again. Huge pages never cause an OOM kill.

        Args:
            nid: where to look first; with GFP_THISNODE, the only node.
            nodemask: the only nodes that may be used, or None for any.
        """
        if H.on and H.watcher.fails("folio"):
            return -1
        if gfp & GFP_THISNODE:
            nodemask = self.thisnode[nid]
        found = self._take_one(order, nid, nodemask, 1)
        if found >= 0:
            return found
        if gfp & GFP_KSWAPD_RECLAIM:
            self._wake_kswapds(nid, nodemask)
        found = self._take_one(order, nid, nodemask, 0)
        if found >= 0 or not gfp & GFP_DIRECT_RECLAIM:
            return found
        # __alloc_pages_slowpath(): a costly order is compacted first. On one node alone that is all.
        if gfp & GFP_NORETRY and (
            gfp & GFP_THISNODE
            or not (self.noretry_reclaims or self._compaction_suitable(order, nid, nodemask))
        ):
            return -1
        progress = self.machine.vmscan.try_to_free_pages(nid, nodemask)
        found = self._take_one(order, nid, nodemask, 0)
        if found >= 0 or not progress:
            return found
        # __alloc_pages_direct_reclaim(): what was reclaimed may be on the lists of the CPUs.
        self.drain_all_pages()
        return self._take_one(order, nid, nodemask, 0)

    def drain_all_pages(self) -> None:
        """drain_all_pages(): the CPUs give back what they have on their own lists."""
        for node in self.nodes:
            node.drain_pages()

    def refresh_cpu_vm_stats(self) -> None:
        """refresh_cpu_vm_stats() (mm/vmstat.c): for each CPU. It folds counters, which the model does not split,
        and shortens the list to its limit (decay_pcp_high()), which is less than a huge page.
        """
        if self.refresh_drains:
            self.drain_all_pages()

    def _compaction_suitable(self, order: i64, nid: i64, nodemask: list[int] | None) -> bool:
        """compaction_zonelist_suitable() (mm/compaction.c, 6.12): some node has free memory to compact into:
        two blocks above the low watermark (compact_gap()).
        """
        for candidate in self.zonelists[nid]:
            if nodemask is None or candidate in nodemask:
                node = self.nodes[candidate]
                if node.free > node.wmark_low + (2 << order):
                    return True
        return False

    def _take_one(self, order: i64, nid: i64, nodemask: list[int] | None, low: i64) -> i64:
        """get_page_from_freelist(): of a block above the low or the min watermark. Its node, or -1."""
        for candidate in self.zonelists[nid]:
            if nodemask is not None and candidate not in nodemask:
                continue
            node = self.nodes[candidate]
            if node.take(order, 1, node.wmark_low if low else node.wmark_min):
                return candidate
        return -1

    def alloc_base(
        self, nid: i64, nodemask: list[int] | None, count: i64, gfp: i64, mm: MmStruct | None
    ) -> tuple[i64, i64]:
        """alloc_pages() (include/linux/gfp.h): up to `count` base pages, all from one node. (node, how many);
        (-1, 0) if there is none.


        The first page decides as alloc_pages() does: the free lists above the low watermark; then
        kswapd is woken and the min watermark counts; then direct reclaim, again and again while
        it helps; then an OOM kill. Further pages are taken as long as the same watermark lets them.

        Args:
            mm: whose fault it is; a killed task gets nothing more.
        """
        taken = self._take_base(nid, nodemask, count, True)
        if taken[1]:
            return taken
        while True:
            if mm is not None and mm.killed:
                return -1, 0
            if gfp & GFP_KSWAPD_RECLAIM:
                self._wake_kswapds(nid, nodemask)
            # One page at a time from here: each looks again at what kswapd achieved.
            taken = self._take_base(nid, nodemask, min(count, 32), False)
            if taken[1]:
                return taken
            if not gfp & GFP_DIRECT_RECLAIM:
                return -1, 0
            self.machine.vmscan.try_to_free_pages(nid, nodemask)
            taken = self._take_base(nid, nodemask, min(count, 32), False)
            if taken[1]:
                return taken
            if gfp & GFP_NORETRY:
                return -1, 0
            if self._should_reclaim_retry(nid, nodemask):
                continue
            # __alloc_pages_may_oom(): no task is killed if the allocation does not depend on this node.
            if gfp & GFP_THISNODE:
                return -1, 0
            if not self.machine.oom.out_of_memory(nodemask):
                return -1, 0

    def _should_reclaim_retry(self, nid: i64, nodemask: list[int] | None) -> bool:
        """should_reclaim_retry(): whether some node would reach its min watermark with all that its LRU lists could
        give. Progress of shrinkers counts for nothing there.
        """
        for candidate in self.zonelists[nid]:
            if nodemask is None or candidate in nodemask:
                node = self.nodes[candidate]
                if node.files and node.free + node.files > node.wmark_min:
                    return True
        return False

    def _take_base(
        self, nid: i64, nodemask: list[int] | None, count: i64, low: bool
    ) -> tuple[i64, i64]:
        """get_page_from_freelist(): of base pages. (node, how many), or (-1, 0)."""
        for candidate in self.zonelists[nid]:
            if nodemask is not None and candidate not in nodemask:
                continue
            node = self.nodes[candidate]
            taken = node.take(0, count, node.wmark_low if low else node.wmark_min)
            if taken:
                return candidate, taken
        return -1, 0

    def _wake_kswapds(self, nid: i64, nodemask: list[int] | None) -> None:
        """wake_all_kswapds(): on each node that the allocation may use."""
        for candidate in self.zonelists[nid]:
            if nodemask is None or candidate in nodemask:
                self.machine.vmscan.wakeup_kswapd(candidate)
