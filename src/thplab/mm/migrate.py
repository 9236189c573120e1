# SPDX-License-Identifier: GPL-2.0-only
"""Moving memory between nodes (mm/migrate.c, 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import warn_once
from thplab.cpu.list_head import list_empty
from thplab.mm.gfp import GFP_KERNEL, GFP_THISNODE, GFP_TRANSHUGE
from thplab.mm.memory import lowest_bits
from thplab.mm.mm_types import PG_LOCKED, PG_LRU, PG_PARTIALLY_MAPPED, BasePages, Folio, PteMap, Vma
from thplab.mm.pagewalk import folio_walk_start
from thplab.mm.rmap import MigrationEntry, folio_maybe_mapped_shared
from thplab.mm.vmstat import (
    THP_MIGRATION_FAIL,
    THP_MIGRATION_SPLIT,
    THP_MIGRATION_SUCCESS,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Migration"]

NR_MAX_MIGRATE_ASYNC_RETRY: Final = 3
NR_MAX_MIGRATE_SYNC_RETRY: Final = 7


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

    def move_slot(self, vma: Vma, slot: i64, mask: int, nid: i64) -> bool:
        """move_pages(2): of pages of one slot. False: the system call ends with -ENOMEM."""
        return self.move_pages(vma, [(slot, mask)], nid) >= 0

    def move_pages(self, vma: Vma, slots: list[tuple[int, int]], nid: i64) -> i64:
        """do_pages_move(): the pages of these slots, in the order of their addresses. A large folio moves whole, if any
        of its pages is meant; it has the place of the first of these.

        What is on the node already stays, and so does what another task maps too (-EACCES). Before it goes past
        such a page, the system call moves what it has collected, and ends if some of that stays behind.

        Returns:
            0; 1 if something stayed behind; -1 (-ENOMEM) if the node had no room for a base page that the call meant,
            or for a huge page that could not be split: then the call ends at once.
        """
        left: i64 = 0
        for slot, mask in slots:
            for owner, meant in self._collect(vma, slot, mask, nid):
                if isinstance(owner, Folio):
                    moved = self._move_large(vma, slot, owner, nid)
                elif owner is not None:
                    moved = 0 if self._move_base(vma, slot, owner, meant, nid) else -1
                elif left:
                    return left
                else:
                    continue
                if moved < 0:
                    return moved
                left |= moved
        return left

    def _collect(
        self, vma: Vma, slot: i64, mask: int, nid: i64
    ) -> list[tuple[Folio | BasePages | None, int]]:
        """add_folio_for_migration(): what moves of a slot, in the order of the addresses; None: what does not.

        References are taken before the lock goes, as follow_page() does it.
        """
        found: list[tuple[Folio | BasePages | None, int]] = []
        lock = vma.mm.page_table_lock
        lock.lock()
        folio, mapped = folio_walk_start(vma, slot, mask)
        if folio is not None and mapped & mask:
            ours: i64 = 1 if vma.slots[slot] is folio else mapped.bit_count()
            mm_id = self.machine.memory.reuse_large_folio
            stays = folio.nid == nid or folio_maybe_mapped_shared(folio, ours, mm_id)
            if not stays:
                folio.get()
            found.append((None if stays else folio, mapped & mask))
        here = vma.slots[slot]
        entry: PteMap | None = here if isinstance(here, PteMap) else None
        while entry is not None:
            owner = entry.owner
            meant = entry.mask & mask
            if meant and isinstance(owner, BasePages):
                staying = meant if owner.nid == nid else 0
                if owner.more_mapped:
                    staying |= meant & owner.more_mapped[0]
                if staying:
                    found.append((None, staying))
                if meant & ~staying:
                    found.append((owner, meant & ~staying))
            entry = entry.next
        lock.unlock()
        return found if len(found) < 2 else by_address(found)

    def _move_large(self, vma: Vma, slot: i64, folio: Folio, nid: i64) -> i64:
        """migrate_pages_batch(): of a large folio. The caller's reference is dropped.

        One that waits to be split is split first, and so is one for which the node has no huge page; its pages
        then move one by one.

        Returns:
            0; 1 if it, or some of its pages, stayed behind; -1 (-ENOMEM) if it could not be split.
        """
        waiting = not list_empty(folio) and folio.test_partially_mapped()
        if waiting and self.splits_queued:
            moved = self._split_and_move(vma, slot, folio, nid)
            if moved >= 0:
                return moved
        if folio.order <= 1:
            # It was split before we had its lock.
            self.machine.lru.folio_put(folio)
            return 0
        dst = self.alloc_migration_target(folio, nid)
        if dst is not None:
            return 0 if self._migrate(folio, dst) else 1
        moved = self._split_and_move(vma, slot, folio, nid)
        if moved < 0:
            self.machine.lru.folio_put(folio)
            self.machine.vmstat.count(THP_MIGRATION_FAIL)
        return moved

    def _split_and_move(self, vma: Vma, slot: i64, folio: Folio, nid: i64) -> i64:
        """try_split_folio(): a folio is split, and as many of its pages as the node has room for move one by one,
        the first page last. Other pages of the slot stay.

        It counts as a failure, also if all of its pages move. The caller's reference is dropped if it was split.

        Returns:
            0; 1 if some of its pages stayed behind; -1 if it was not split.
        """
        machine = self.machine
        if not folio.trylock():
            return -1
        others: list[BasePages] = []
        here = vma.slots[slot]
        entry: PteMap | None = here if isinstance(here, PteMap) else None
        while entry is not None:
            owner = entry.owner
            if isinstance(owner, BasePages):
                others.append(owner)
            entry = entry.next
        split = machine.huge_memory.split_folio(folio)
        folio.unlock()
        if not split:
            return -1
        machine.lru.folio_put(folio)
        machine.vmstat.count(THP_MIGRATION_FAIL)
        machine.vmstat.count(THP_MIGRATION_SPLIT)
        tails: list[tuple[BasePages, int]] = []
        heads: list[tuple[BasePages, int]] = []
        lock = vma.mm.page_table_lock
        lock.lock()
        here = vma.slots[slot]
        entry = here if isinstance(here, PteMap) else None
        while entry is not None:
            owner = entry.owner
            if isinstance(owner, BasePages) and owner.nid != nid and owner not in others:
                tails.append((owner, entry.mask & ~1))
                heads.append((owner, entry.mask & 1))
            entry = entry.next
        lock.unlock()
        for owner, mask in tails + heads:
            if not self._move_base(vma, slot, owner, mask, nid):
                return 1
        return 0

    def alloc_migration_target(self, src: Folio, nid: i64) -> Folio | None:
        """alloc_migration_target(): a huge page on that node and on no other, with reclaim if need be."""
        order = src.order
        gfp = GFP_TRANSHUGE | GFP_THISNODE
        found = self.machine.pages.alloc_huge(order, nid, None, gfp)
        return None if found < 0 else Folio(order, found, 0)

    def migrate_folio(self, src: Folio, nid: i64) -> bool:
        """migrate_pages(): of one large folio, which is not split. The caller's reference is dropped.
        False if the node has no room, somebody else holds a reference too, or it is large no longer.
        """
        dst = self.alloc_migration_target(src, nid) if src.order > 1 else None
        if dst is None:
            self.machine.lru.folio_put(src)
            self.machine.vmstat.count(THP_MIGRATION_FAIL)
            return False
        return self._migrate(src, dst)

    def _migrate(self, src: Folio, dst: Folio) -> bool:
        """migrate_pages_sync(): a few passes that do not wait, then more that would wait for the lock; here each of
        them tries. The caller's references to both are dropped.
        """
        machine = self.machine
        for passes in (NR_MAX_MIGRATE_ASYNC_RETRY, NR_MAX_MIGRATE_SYNC_RETRY):
            if not any(src.trylock() for _ in range(passes)):
                continue
            if src.order != dst.order:
                # It was split before we had its lock.
                src.unlock()
                break
            entries = machine.rmap.try_to_migrate(src, False)
            for _ in range(passes):
                if self._migrate_folio_move(src, dst, entries):
                    return True
            machine.rmap.remove_migration_ptes(src, entries)
            src.unlock()
        if src.order == dst.order:
            machine.vmstat.count(THP_MIGRATION_FAIL)
        machine.lru.folio_put(src)
        self._discard(dst)
        return False

    def _migrate_folio_move(self, src: Folio, dst: Folio, entries: list[MigrationEntry]) -> bool:
        """migrate_folio_move(): False if somebody else holds a reference (-EAGAIN).

        A folio that was queued for splitting has its successor queued, in the same state
        (8a8ca142a488): before the entries are restored, because then its pages may go.
        """
        machine = self.machine
        queued = not list_empty(src)
        partially_mapped = src.test_partially_mapped()
        if not src.ref_freeze(1):
            return False
        # Frozen, and still charged: the queue it is on can be found.
        machine.huge_memory.folio_unqueue_deferred_split(src)
        dst.flags = src.flags & ~PG_PARTIALLY_MAPPED
        dst.zeros = src.zeros
        dst.not_exclusive = src.not_exclusive
        dst.unreferenced = src.unreferenced
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

    def _move_base(self, vma: Vma, slot: i64, owner: BasePages, mask: int, nid: i64) -> bool:
        """Base pages, those that this address space alone maps: into new ones on the node. False: -ENOMEM."""
        machine = self.machine
        if owner.more_mapped:
            mask &= ~owner.more_mapped[0]
        while mask:
            found, count = machine.pages.alloc_base(
                nid, [int(nid)], mask.bit_count(), GFP_KERNEL | GFP_THISNODE, None
            )
            if found < 0:
                return False
            chosen = lowest_bits(mask, count)
            mask &= ~chosen
            old = owner.objcg
            if old is None:
                machine.memory.zap(vma, slot, chosen)
                _copy_flags(machine.memory.map_pages(vma, slot, chosen, nid, None), owner)
                continue
            # Uncharged with the old pages, charged with the new ones.
            objcg = machine.objcgs.get_for_migration(old, nid)
            machine.memory.zap(vma, slot, chosen)
            if not objcg.is_root:
                objcg.memcg.memory.charge(count)
            _copy_flags(machine.memory.map_pages(vma, slot, chosen, nid, objcg), owner)
            machine.objcgs.put(objcg)
        return True


def _copy_flags(new: BasePages, old: BasePages) -> None:
    """folio_migrate_flags(): of base pages."""
    new.not_exclusive = old.not_exclusive & new.mapped
    new.unreferenced = old.unreferenced & new.mapped


def by_address(
    found: list[tuple[Folio | BasePages | None, int]],
) -> list[tuple[Folio | BasePages | None, int]]:
    """The same, with base pages in runs that no other's page interrupts; a folio stands at its first page."""
    left = list(found)
    ordered: list[tuple[Folio | BasePages | None, int]] = []
    while left:
        left.sort(key=_first_bit)
        owner, mask = left.pop(0)
        run = mask
        if left and not isinstance(owner, Folio):
            run = mask & (_first_bit(left[0]) - 1)
            if run != mask:
                left.append((owner, mask & ~run))
        ordered.append((owner, run))
    return ordered


def _first_bit(one: tuple[Folio | BasePages | None, int]) -> int:
    """The lowest bit of its mask."""
    return one[1] & -one[1]
