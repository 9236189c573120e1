# SPDX-License-Identifier: GPL-2.0-only
"""Reverse mapping: how often each page is mapped, and finding out that a folio is partly mapped (mm/rmap.c, 7.2).

Mapping counts change under the page table lock of the address space. Here a batch of entries is
one atomic change, where the kernel has one for each page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import H
from thplab.cpu.ops import RMW
from thplab.mm.folio import (
    HPAGE_PMD_NR,
    PG_PARTIALLY_MAPPED,
    Folio,
    Mapped,
)
from thplab.mm.mm_struct import AnonVma
from thplab.mm.vmstat import (
    MTHP_STAT_NR_ANON,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["AnonVma", "Rmap", "add_mapped", "remove_mapped"]


def add_mapped(pages: Mapped, mask: int) -> int:
    """One more entry for each page of `mask`. Returns the pages that were not mapped by any."""
    was = pages.mapped
    carry = was & mask
    if not carry:
        pages.mapped = was | mask
        return mask
    pages.mapped = was | mask
    fresh = mask & ~was
    layers = pages.more_mapped
    if layers is None:
        layers = []
        pages.more_mapped = layers
    for depth in range(len(layers)):
        layer = layers[depth]
        layers[depth] = layer | carry
        carry &= layer
        if not carry:
            return fresh
    layers.append(carry)
    return fresh


def remove_mapped(pages: Mapped, mask: int) -> int:
    """One entry less for each page of `mask`. Returns the pages that no entry maps now."""
    layers = pages.more_mapped
    if layers is not None:
        for depth in range(len(layers) - 1, -1, -1):
            layer = layers[depth]
            gone = layer & mask
            if gone:
                layers[depth] = layer & ~gone
                mask &= ~gone
        while layers and not layers[-1]:
            layers.pop()
        if not layers:
            pages.more_mapped = None
    pages.mapped &= ~mask
    return mask


@mypyc_attr(allow_interpreted_subclasses=True)
class Rmap:
    """Reverse mapping of one machine, with the statistics that hang on it."""

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine

    def mod_anon(self, pages: Mapped, nr: i64, nr_pmdmapped: i64) -> None:
        """__folio_mod_stat(): NR_ANON_MAPPED and NR_ANON_THPS of the node and of the cgroup there."""
        nid = pages.nid
        node = self.machine.pages.nodes[nid]
        node.nr_anon += nr
        node.nr_anon_thps += nr_pmdmapped
        objcg = pages.objcg
        if objcg is not None:
            pernode = objcg.memcg.nodeinfo[nid]
            pernode.nr_anon += nr
            pernode.nr_anon_thps += nr_pmdmapped

    def folio_add_new_anon_rmap(self, folio: Folio) -> None:
        """folio_add_new_anon_rmap() of a PMD-sized folio: mapped whole, by a PMD."""
        folio.entire_mapcount = 1
        self.machine.vmstat.mod_mthp(folio.order, MTHP_STAT_NR_ANON, 1)
        self.mod_anon(folio, folio.nr_pages, folio.nr_pages)

    def folio_add_anon_rmap_pmd(self, folio: Folio) -> None:
        """folio_add_anon_rmap_pmd(): one more PMD maps it (fork)."""
        if H.on:
            H.watcher.point(RMW, folio)
        folio.entire_mapcount += 1
        if folio.entire_mapcount == 1:
            mapped = folio.mapped.bit_count()
            self.mod_anon(folio, HPAGE_PMD_NR - mapped, HPAGE_PMD_NR)

    def folio_add_anon_rmap_ptes(self, folio: Folio, mask: int) -> None:
        """folio_add_anon_rmap_ptes()."""
        if H.on:
            H.watcher.point(RMW, folio)
        fresh = add_mapped(folio, mask)
        if not folio.entire_mapcount:
            self.mod_anon(folio, fresh.bit_count(), 0)

    def folio_remove_rmap_ptes(self, folio: Folio, mask: int) -> None:
        """folio_remove_rmap_ptes(): a folio of which some pages stay mapped is queued for splitting."""
        if H.on:
            H.watcher.point(RMW, folio)
        gone = remove_mapped(folio, mask)
        if folio.entire_mapcount or not gone:
            return
        self.mod_anon(folio, -gone.bit_count(), 0)
        if folio.mapped:
            self._partially_mapped(folio)

    def folio_remove_rmap_pmd(self, folio: Folio) -> None:
        """folio_remove_rmap_pmd(): pages that page table entries map still are fewer than all, or none."""
        if H.on:
            H.watcher.point(RMW, folio)
        folio.entire_mapcount -= 1
        if folio.entire_mapcount:
            return
        mapped: i64 = folio.mapped.bit_count()
        self.mod_anon(folio, mapped - HPAGE_PMD_NR, -HPAGE_PMD_NR)
        if 0 < mapped < HPAGE_PMD_NR:
            self._partially_mapped(folio)

    def _partially_mapped(self, folio: Folio) -> None:
        """The end of __folio_remove_rmap(): anon, not flagged yet, no device memory."""
        if not folio.test_flag(PG_PARTIALLY_MAPPED):
            self.machine.huge_memory.deferred_split_folio(folio, True)
