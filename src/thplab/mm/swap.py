# SPDX-License-Identifier: GPL-2.0-only
"""Dropping references, and the end of a folio, in mm/swap.c until 7.2 (mm/folio.c, 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug
from thplab.mm.mm_types import PG_LRU, BasePages, Folio
from thplab.mm.rmap import remove_mapped
from thplab.mm.vmstat import (
    MTHP_STAT_NR_ANON,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Lru"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Lru:
    """LRU membership and final puts of one machine. The LRU lists are counts: nothing is aged here."""

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine

    def folio_add_lru(self, folio: Folio) -> None:
        """folio_add_lru()."""
        folio.flags |= PG_LRU
        objcg = folio.objcg
        if objcg is not None:
            objcg.memcg.nodeinfo[folio.nid].nr_lru += folio.nr_pages

    def _del_lru(self, folio: Folio) -> None:
        """lruvec_del_folio() (include/linux/mm_inline.h): of a folio that no other CPU can reach any more."""
        folio.flags &= ~PG_LRU
        objcg = folio.objcg
        if objcg is not None:
            objcg.memcg.nodeinfo[folio.nid].nr_lru -= folio.nr_pages

    def folio_put(self, folio: Folio, count: i64 = 1) -> None:
        """folio_put(), folio_put_refs() (include/linux/mm.h, 7.2): the last one frees it."""
        if folio.put_testzero(count):
            self._free(folio)

    def _free(self, folio: Folio) -> None:
        """__folio_put(): off the LRU, off the deferred split queue, uncharged, freed, in this order.

        The queue is found through the cgroup that the folio is charged to, so it must come before
        the uncharge.
        """
        if folio.order == 0:
            # What was left of a folio that was split: its pages are counted elsewhere.
            folio.poison()
            return
        if folio.flags & PG_LRU:
            self._del_lru(folio)
        if folio.mapped or folio.entire_mapcount:
            raise KernelBug(f"BUG: Bad page state: freed while mapped: {folio!r}")
        huge_memory = self.machine.huge_memory
        huge_memory.folio_unqueue_deferred_split(folio)
        if folio.anon_vma is not None:
            self.machine.vmstat.mod_mthp(folio.order, MTHP_STAT_NR_ANON, -1)
        self.machine.charges.uncharge_folio(folio)
        self.machine.pages.nodes[folio.nid].give(folio.nr_pages)
        folio.poison()

    def unmap_base_pages(self, pages: BasePages, mask: int) -> None:
        """Remove the entries of base pages, and free the pages that no task maps any more."""
        gone: i64 = remove_mapped(pages, mask).bit_count()
        if not gone:
            return
        machine = self.machine
        machine.rmap.mod_anon(pages, -gone, 0)
        node = machine.pages.nodes[pages.nid]
        objcg = pages.objcg
        if objcg is not None:
            machine.charges.uncharge_pages(objcg, gone)
            objcg.memcg.nodeinfo[pages.nid].nr_lru -= gone
        scattered = pages.scattered
        if pages.mapped:
            node.give(gone, gone)
            pages.scattered = scattered + gone
            return
        node.give(gone)
        node.made_whole(scattered)
        if objcg is not None:
            machine.objcgs.put(objcg)
        pages.poison()
