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
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.interval_tree import anon_vma_interval_tree
from thplab.mm.mlock import munlock_vma_folio
from thplab.mm.mm_types import PG_DEVICE_PRIVATE, PG_PARTIALLY_MAPPED, Folio, Mapped, PteMap, Vma
from thplab.mm.vmstat import (
    MTHP_STAT_NR_ANON,
    THP_SPLIT_PMD,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = [
    "MigrationEntry",
    "Rmap",
    "add_mapped",
    "folio_maybe_mapped_shared",
    "remove_mapped",
]


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


def folio_maybe_mapped_shared(folio: Folio, ours: i64, mm_id: bool) -> bool:
    """folio_maybe_mapped_shared() (include/linux/mm.h): another task maps it too, beside our own `ours` mappings.

    With CONFIG_MM_ID (6.15, `mm_id`) the kernel knows, as long as no more than two tasks ever map it at a
    time; before, folio_likely_mapped_shared() goes by the first page.
    """
    mapcount = folio.mapcount()
    if mapcount <= 1:
        return False
    if mm_id:
        return mapcount != ours
    if folio.entire_mapcount or mapcount > folio.nr_pages:
        return True
    layers = folio.more_mapped
    return layers is not None and layers[0] & 1 != 0


@mypyc_attr(acyclic=True)
class MigrationEntry:
    """What maps nothing while its folio is worked on: page table entries, or a PMD.

    Attributes:
        vma: the region that it is in. entry: itself.
        pmd: it was a PMD, and will be one again.
        part: it was cut off from other entries of the folio in the slot, and will join them again.
    """

    def __init__(self, vma: Vma, entry: PteMap, pmd: bool, part: bool) -> None:
        self.vma: Vma = vma
        self.entry: PteMap = entry
        self.pmd: bool = pmd
        self.part: bool = part


def entry_within(vma: Vma, slot: i64, folio: Folio, mask: int) -> PteMap | None:
    """The entries of the folio for pages of `mask`, apart from its others; None if there are none."""
    here = vma.slots[slot]
    entry = here if isinstance(here, PteMap) else None
    while entry is not None and (
        entry.owner is not folio or entry.migrating or not entry.mask & mask
    ):
        entry = entry.next
    if entry is None or not entry.mask & ~mask:
        return entry
    entry.next = PteMap(folio, entry.mask & mask, entry.next)
    entry.mask &= ~mask
    return entry.next


def join_entries(vma: Vma, slot: i64, folio: Folio) -> None:
    """All entries of the folio in the slot that map are one again."""
    first: PteMap | None = None
    before: PteMap | None = None
    here = vma.slots[slot]
    entry = here if isinstance(here, PteMap) else None
    while entry is not None:
        if entry.owner is folio and not entry.migrating:
            if first is not None and before is not None:
                first.mask |= entry.mask
                before.next = entry.next
                entry = entry.next
                continue
            first = entry
        before = entry
        entry = entry.next


@mypyc_attr(allow_interpreted_subclasses=True)
class Rmap:
    """Reverse mapping of one machine, with the statistics that hang on it.

    Attributes:
        split_unmaps_each_pmd: a split unmaps a folio from each PMD (7.0); in 6.16 to 6.19 the first PMD ends the walk.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.split_unmaps_each_pmd: bool = True

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
        """folio_add_new_anon_rmap(): of a PMD-sized folio, mapped whole, by a PMD."""
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
        """Part of __folio_remove_rmap(): its end. Anon, not flagged yet, no device memory."""
        if not folio.test_flag(PG_PARTIALLY_MAPPED) and not folio.flags & PG_DEVICE_PRIVATE:
            self.machine.huge_memory.deferred_split_folio(folio, True)

    # Migration entries

    def try_to_migrate(self, folio: Folio, split_pmd: bool) -> list[MigrationEntry]:
        """try_to_migrate(): all that maps the folio becomes migration entries and gives back its references.

        Args:
            split_pmd: TTU_SPLIT_HUGE_PMD: a PMD becomes page table entries; else it stays one.
        """
        found: list[MigrationEntry] = []
        anon_vma = folio.anon_vma
        if anon_vma is None:
            return found
        slot = folio.index // HPAGE_PMD_NR
        for vma, mask in anon_vma_interval_tree(anon_vma, slot):
            lock = vma.mm.page_table_lock
            lock.lock()
            dropped: i64 = 0
            entry: PteMap | None
            was_pmd = vma.slots[slot] is folio
            if was_pmd:
                # The PMD goes as a whole: nothing looks partly mapped on the way.
                if split_pmd:
                    self.machine.vmstat.count(THP_SPLIT_PMD)
                self.folio_remove_rmap_pmd(folio)
                munlock_vma_folio(vma, folio)
                entry = PteMap(folio, FULL_MASK, None)
                vma.slots[slot] = entry
                found.append(MigrationEntry(vma, entry, not split_pmd, False))
                dropped = 1
            else:
                entry = entry_within(vma, slot, folio, mask)
                if entry is not None:
                    dropped = entry.mask.bit_count()
                    self._remove_one_by_one(folio, entry.mask)
                    munlock_vma_folio(vma, folio)
                    found.append(MigrationEntry(vma, entry, False, mask != FULL_MASK))
            if entry is not None:
                entry.migrating = True
            lock.unlock()
            if dropped:
                folio.put_testzero(dropped)
            if was_pmd and split_pmd and not self.split_unmaps_each_pmd:
                break
        return found

    def _remove_one_by_one(self, folio: Folio, mask: int) -> None:
        """Part of try_to_migrate_one(): it goes entry by entry, so the first one flags a folio that was not
        flagged yet.
        """
        if not folio.flags & PG_PARTIALLY_MAPPED:
            first = mask & -mask
            self.folio_remove_rmap_ptes(folio, first)
            mask &= ~first
        if mask:
            self.folio_remove_rmap_ptes(folio, mask)

    def remove_migration_ptes(self, folio: Folio, entries: list[MigrationEntry]) -> None:
        """remove_migration_ptes() (mm/migrate.c): what was not unmapped meanwhile maps the folio, the same one
        or its successor.
        """
        slot = folio.index // HPAGE_PMD_NR
        for migrated in entries:
            vma = migrated.vma
            entry = migrated.entry
            lock = vma.mm.page_table_lock
            lock.lock()
            entry.migrating = False
            entry.owner = folio
            if migrated.pmd and entry.mask == FULL_MASK and vma.slots[slot] is entry:
                folio.get()
                self.folio_add_anon_rmap_pmd(folio)
                vma.slots[slot] = folio
            elif entry.mask:
                folio.get(entry.mask.bit_count())
                self.folio_add_anon_rmap_ptes(folio, entry.mask)
            if migrated.part:
                join_entries(vma, slot, folio)
            lock.unlock()
