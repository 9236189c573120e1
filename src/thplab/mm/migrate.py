# SPDX-License-Identifier: GPL-2.0-only
"""Moving memory between nodes (mm/migrate.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import warn_once
from thplab.cpu.list_head import list_empty
from thplab.mm.gfp import GFP_DIRECT_RECLAIM, GFP_KERNEL, GFP_THISNODE
from thplab.mm.memory import lowest_bits
from thplab.mm.mm_types import PG_LOCKED, PG_LRU, PG_PARTIALLY_MAPPED, BasePages, Folio, PteMap, Vma
from thplab.mm.vmstat import (
    THP_MIGRATION_FAIL,
    THP_MIGRATION_SPLIT,
    THP_MIGRATION_SUCCESS,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Migration"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Migration:
    """Migration on one machine.

    Attributes:
        keeps_queued: the new folio takes the old one's place on the queue (8a8ca142a488).
        splits_queued: a partly mapped folio that waits on the queue is split, and its pages move (6.12).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.splits_queued: bool = True
        self.keeps_queued: bool = True

    def move_slot(self, vma: Vma, slot: i64, mask: int, nid: i64) -> None:
        """move_pages(2): of the pages of one slot. A large folio moves whole, if any of its pages is meant."""
        # References are taken before the lock goes, as follow_page() does it.
        folios: list[Folio] = []
        base: list[tuple[PteMap, BasePages]] = []
        lock = vma.mm.page_table_lock
        lock.lock()
        here = vma.slots[slot]
        if isinstance(here, Folio):
            if mask and here.nid != nid:
                folios.append(here)
        else:
            entry: PteMap | None = here
            while entry is not None:
                owner = entry.owner
                if entry.mask & mask and owner is not None and owner.nid != nid:
                    if isinstance(owner, Folio):
                        if not entry.migrating:
                            folios.append(owner)
                    elif isinstance(owner, BasePages):
                        base.append((entry, owner))
                entry = entry.next
        for folio in folios:
            folio.get()
        lock.unlock()
        for folio in folios:
            waiting = not list_empty(folio) and folio.test_partially_mapped()
            if not (waiting and self.splits_queued and self._split_and_move(vma, slot, folio, nid)):
                self.migrate_folio(folio, nid)
        for entry, pages in base:
            self._move_base(vma, slot, pages, entry.mask & mask, nid)

    def _split_and_move(self, vma: Vma, slot: i64, folio: Folio, nid: i64) -> bool:
        """Part of migrate_pages_batch(): a folio that waits to be split is split first (try_split_folio()).

        Its pages then move one by one (7262f208ca68, 6.11; only a partly mapped one since 6.12). It
        counts as a failure, of which the caller of migrate_pages() is told. The caller's reference
        is dropped if it was split; False if it was not, because it then moves whole.
        """
        machine = self.machine
        if not folio.trylock():
            return False
        split = machine.huge_memory.split_folio(folio)
        folio.unlock()
        if not split:
            return False
        machine.lru.folio_put(folio)
        machine.vmstat.count(THP_MIGRATION_FAIL)
        machine.vmstat.count(THP_MIGRATION_SPLIT)
        pieces: list[tuple[PteMap, BasePages]] = []
        lock = vma.mm.page_table_lock
        lock.lock()
        here = vma.slots[slot]
        entry: PteMap | None = here if isinstance(here, PteMap) else None
        while entry is not None:
            owner = entry.owner
            if isinstance(owner, BasePages) and owner.nid != nid:
                pieces.append((entry, owner))
            entry = entry.next
        lock.unlock()
        for piece, owner in pieces:
            self._move_base(vma, slot, owner, piece.mask, nid)
        return True

    def migrate_folio(self, src: Folio, nid: i64) -> bool:
        """migrate_folio_unmap(), migrate_folio_move(): of a large folio. The caller's reference is dropped.
        False if somebody else holds one too, or it is large no longer.

        A folio that was queued for splitting has its successor queued, in the same state
        (8a8ca142a488): before the entries are restored, because then its pages may go.
        """
        machine = self.machine
        order = src.order
        found: i64 = -1
        if order > 1:
            found = machine.pages.alloc_huge(order, nid, [int(nid)], GFP_DIRECT_RECLAIM)
        if found < 0:
            machine.lru.folio_put(src)
            machine.vmstat.count(THP_MIGRATION_FAIL)
            return False
        dst = Folio(order, found, 0)
        if not src.trylock():
            machine.lru.folio_put(src)
            self._discard(dst)
            return False
        if src.order != order:
            # It was split before we had its lock.
            src.unlock()
            machine.lru.folio_put(src)
            self._discard(dst)
            return False
        entries = machine.rmap.try_to_migrate(src, False)
        queued = not list_empty(src)
        partially_mapped = src.test_partially_mapped()
        if not src.ref_freeze(1):
            machine.rmap.remove_migration_ptes(src, entries)
            src.unlock()
            machine.lru.folio_put(src)
            self._discard(dst)
            machine.vmstat.count(THP_MIGRATION_FAIL)
            return False
        # Frozen, and still charged: the queue it is on can be found.
        machine.huge_memory.folio_unqueue_deferred_split(src)
        dst.flags = src.flags & ~PG_PARTIALLY_MAPPED
        dst.zeros = src.zeros
        dst.not_exclusive = src.not_exclusive
        dst.anon_vma = src.anon_vma
        dst.index = src.index
        src.anon_vma = None
        src.flags &= ~PG_LRU
        src.ref_unfreeze(1)
        self.mem_cgroup_migrate(src, dst)
        if queued and self.keeps_queued:
            self.queue_dst(dst, partially_mapped)
        machine.rmap.remove_migration_ptes(dst, entries)
        dst.flags &= ~PG_LOCKED
        src.unlock()
        machine.lru.folio_put(src)
        machine.lru.folio_put(dst)
        machine.vmstat.count(THP_MIGRATION_SUCCESS)
        return True

    def mem_cgroup_migrate(self, src: Folio, dst: Folio) -> None:
        """mem_cgroup_migrate() (mm/memcontrol.c): the new folio is charged in the place of the old one, through the
        objcg of its own node. The old one must be on no queue by then, because nobody would find that queue any more.
        """
        old = src.objcg
        if old is None:
            return
        machine = self.machine
        objcg = machine.objcgs.get_for_migration(old, dst.nid)
        # The page counters keep the charge, unless only the root is left, which has none.
        if objcg.is_root and not old.is_root:
            machine.charges.uncharge_pages(old, src.nr_pages)
        old.memcg.nodeinfo[src.nid].nr_lru -= src.nr_pages
        objcg.memcg.nodeinfo[dst.nid].nr_lru += src.nr_pages
        dst.objcg = objcg
        if machine.huge_memory.folio_unqueue_deferred_split(src):
            warn_once("WARNING: mem_cgroup_migrate(): the folio was still queued for splitting")
        src.objcg = None
        machine.objcgs.put(old)

    def queue_dst(self, dst: Folio, partially_mapped: bool) -> None:
        """Part of migrate_folio_move(): the new folio takes the place of the old one in the queue."""
        self.machine.huge_memory.deferred_split_folio(dst, partially_mapped)

    def _discard(self, dst: Folio) -> None:
        self.machine.lru.folio_put(dst)

    def _move_base(self, vma: Vma, slot: i64, owner: BasePages, mask: int, nid: i64) -> None:
        """Base pages, those that this address space alone maps: into new ones on the node."""
        machine = self.machine
        if owner.more_mapped:
            mask &= ~owner.more_mapped[0]
        while mask:
            found, count = machine.pages.alloc_base(
                nid, [int(nid)], mask.bit_count(), GFP_KERNEL | GFP_THISNODE, None
            )
            if found < 0:
                return
            chosen = lowest_bits(mask, count)
            mask &= ~chosen
            old = owner.objcg
            if old is None:
                machine.memory.zap(vma, slot, chosen)
                machine.memory.map_pages(vma, slot, chosen, nid, None)
                continue
            # Uncharged with the old pages, charged with the new ones.
            objcg = machine.objcgs.get_for_migration(old, nid)
            machine.memory.zap(vma, slot, chosen)
            if not objcg.is_root:
                objcg.memcg.memory.charge(count)
            machine.memory.map_pages(vma, slot, chosen, nid, objcg)
            machine.objcgs.put(objcg)
