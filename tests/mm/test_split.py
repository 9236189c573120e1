# SPDX-License-Identifier: GPL-2.0-only
"""Splitting: whose pages go where, and what is counted."""

from __future__ import annotations

import pytest

from tests.mm.small import (
    HUGE,
    LOWER,
    UPPER,
    event,
    folio_at,
    halved,
    mmap,
    mthp,
    small_machine,
    split,
    start,
    touched,
)
from thplab.cpu.hook import Watcher, attach, detach
from thplab.cpu.ops import REF_FREEZE
from thplab.mm.census import census
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_MLOCKED, BasePages, Folio, PteMap, Task, Vma
from thplab.mm.shrinker import ShrinkControl

DESIGNS = ["split_queue", "split_queue_reparented", "list_lru", None]


def owners(vma: Vma, slot: int) -> dict[str, int]:
    """How many entries of the slot point to a folio, to base pages, to the zero page."""
    found = {"folio": 0, "base": 0, "zero": 0}
    entry = vma.slots[slot]
    while isinstance(entry, PteMap):
        kind = "folio" if isinstance(entry.owner, Folio) else "base" if entry.owner else "zero"
        found[kind] += entry.mask.bit_count()
        entry = entry.next
    return found


@pytest.mark.parametrize("design", DESIGNS)
def test_what_nobody_maps_is_freed_and_the_rest_are_base_pages(design: str | None) -> None:
    machine = small_machine(design)
    task = start(machine)
    vma = halved(machine, task, 1)
    folio = folio_at(vma, 0)
    assert split(machine, folio)
    assert owners(vma, 0) == {"folio": 0, "base": 256, "zero": 0}
    assert folio.is_freed()
    assert event(machine, "thp_split_page") == mthp(machine, "split") == 1
    assert event(machine, "thp_split_page_failed") == mthp(machine, "split_failed") == 0
    assert mthp(machine, "nr_anon") == mthp(machine, "nr_anon_partially_mapped") == 0
    assert task.memcg.memory.usage == 256
    assert task.mm.nr_anon == 256
    node = machine.pages.nodes[0]
    assert (node.free, node.fragmented) == (node.managed - 256, 256)
    assert check(machine) == []


def test_a_pmd_is_split_with_its_folio(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1)
    assert split(machine, folio_at(vma, 0))
    assert owners(vma, 0) == {"folio": 0, "base": 512, "zero": 0}
    assert event(machine, "thp_split_pmd") == 1
    assert event(machine, "thp_deferred_split_page") == 0
    assert machine.pages.nodes[0].free == machine.pages.nodes[0].managed - HUGE


def test_pages_of_zeros_are_freed_and_the_zero_page_mapped(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 0b111, False)
    assert split(machine, folio_at(vma, 0))
    assert owners(vma, 0) == {"folio": 0, "base": 3, "zero": 509}
    assert task.mm.nr_anon == task.memcg.memory.usage == 3
    found = census(vma, 2)
    assert (found.base, found.zero, found.absent) == ([3, 0], 509, 0)


def test_a_huge_page_of_zeros_leaves_nothing(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 1, True)
    objcg = task.memcg.nodeinfo[0].objcg
    assert objcg is not None
    assert split(machine, folio_at(vma, 0))
    assert owners(vma, 0) == {"folio": 0, "base": 0, "zero": 512}
    assert task.memcg.memory.usage == 0
    assert objcg.refcount == 1
    assert machine.pages.nodes[0].free == machine.pages.nodes[0].managed
    assert check(machine) == []
    machine.memory.zap(vma, 0, FULL_MASK)
    assert vma.slots[0] is None


@pytest.mark.parametrize("locked_first", [True, False])
def test_mlocked_memory_keeps_pages_of_zeros(
    locked_first: bool, machine: Machine, task: Task
) -> None:
    """An mlocked folio, or one that is partially mapped in an mlocked region (try_to_map_unused_to_zeropage())."""
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 1, False)
    folio = folio_at(vma, 0)
    if locked_first:
        folio.set_flag(PG_MLOCKED)
    else:
        machine.memory.zap(vma, 0, UPPER)
        vma.locked = True
    assert split(machine, folio)
    assert owners(vma, 0) == {"folio": 0, "base": 512 if locked_first else 256, "zero": 0}


def test_every_task_that_maps_the_folio_maps_the_base_pages_afterwards(
    machine: Machine, task: Task
) -> None:
    vma = touched(machine, task, 1)
    child = machine.fork(task, "child")
    machine.memory.zap(vma, 0, UPPER)
    folio = folio_at(vma, 0)
    assert split(machine, folio)
    theirs = child.mm.vmas["memory"]
    assert owners(vma, 0) == {"folio": 0, "base": 256, "zero": 0}
    assert owners(theirs, 0) == {"folio": 0, "base": 512, "zero": 0}
    pages = theirs.slots[0].owner  # type: ignore[union-attr]
    assert isinstance(pages, BasePages)
    assert pages.more_mapped == [LOWER]
    assert (task.mm.nr_anon, child.mm.nr_anon) == (256, 512)
    assert task.memcg.memory.usage == 512
    assert check(machine) == []
    machine.exit(task)
    assert task.memcg.memory.usage == 512
    machine.exit(child)
    assert task.memcg.memory.usage == 0


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("part", [FULL_MASK, UPPER], ids=["whole", "halved"])
def test_a_reference_of_somebody_else_makes_it_fail_and_changes_nothing(
    design: str | None, part: int
) -> None:
    machine = small_machine(design)
    task = start(machine)
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    if part != FULL_MASK:
        machine.memory.zap(vma, 0, part)
    folio.get()
    before = census(vma, 2)
    assert not split(machine, folio)
    after = census(vma, 2)
    assert (after.huge, after.base, after.absent) == (before.huge, before.base, before.absent)
    assert event(machine, "thp_split_page_failed") == mthp(machine, "split_failed") == 1
    assert event(machine, "thp_split_page") == 0
    assert check(machine, [folio]) == []
    machine.lru.folio_put(folio)
    assert split(machine, folio)
    assert check(machine) == []


def test_unmapping_entry_by_entry_flags_a_folio_that_was_not(machine: Machine, task: Task) -> None:
    """try_to_migrate_one() goes page by page; the last PMD is gone long before."""
    machine.huge_memory.thp.shrink_underused = False
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    machine.huge_memory.split_huge_pmd(vma, 0, folio)
    assert split(machine, folio)
    assert event(machine, "thp_deferred_split_page") == 1
    assert mthp(machine, "nr_anon_partially_mapped") == 0


def test_a_folio_that_nobody_maps_any_more_is_not_split(machine: Machine, task: Task) -> None:
    """folio_get_anon_vma() finds no anon_vma that could be locked (-EBUSY)."""
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    folio.get()
    machine.memory.zap(vma, 0, FULL_MASK)
    assert folio.trylock()
    assert not machine.huge_memory.split_folio(folio)
    folio.unlock()
    assert event(machine, "thp_split_page_failed") == mthp(machine, "split_failed") == 1
    assert task.memcg.memory.usage == HUGE
    machine.lru.folio_put(folio)
    assert task.memcg.memory.usage == 0
    assert check(machine) == []


def test_a_pinned_folio_keeps_its_pmd(machine: Machine, task: Task) -> None:
    """__folio_split() looks at the references before unmap_folio(): a pinned underused folio costs nothing."""
    machine.khugepaged.max_ptes_none = 100
    vma = touched(machine, task, 1, mask=LOWER)
    folio = folio_at(vma, 0)
    folio.get()
    assert machine.deferred_split.scan_objects(ShrinkControl(0, task.memcg, 1)) == 0
    assert vma.slots[0] is folio
    assert event(machine, "thp_split_page_failed") == 1
    assert event(machine, "thp_split_pmd") == 0
    machine.lru.folio_put(folio)
    assert check(machine) == []


def test_a_reference_that_comes_while_it_is_unmapped_costs_it_its_pmd(
    machine: Machine, task: Task
) -> None:
    """The look was racy: the count cannot be frozen, and page table entries map the folio again."""
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)

    class Pins(Watcher):
        """get_user_pages_fast() between the look and the freeze."""

        def point(self, op: int, obj: object) -> None:
            if op == REF_FREEZE:
                detach()
                folio.get()

    attach(Pins())
    assert not split(machine, folio)
    detach()
    assert owners(vma, 0) == {"folio": HUGE, "base": 0, "zero": 0}
    assert event(machine, "thp_split_page_failed") == event(machine, "thp_split_pmd") == 1
    machine.lru.folio_put(folio)


def test_from_6_16_to_6_19_each_attempt_splits_one_pmd_of_those_that_map_a_folio(
    machine: Machine, task: Task
) -> None:
    """The walk ends at the first PMD (60fbb14396d5), so the others still map the folio; 6.18.15 counted a failure with two."""
    machine.rmap.split_unmaps_each_pmd = False
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    children = [machine.fork(task, name).mm.vmas["memory"] for name in ("second", "third")]
    assert not split(machine, folio)
    assert [isinstance(one.slots[0], Folio) for one in (vma, *children)] == [False, True, True]
    assert (folio.ref_count(), folio.mapcount()) == (HUGE + 2, HUGE + 2)
    machine.huge_memory.split_huge_pages_pid(vma, 0, FULL_MASK)
    assert all(owners(one, 0)["base"] == HUGE for one in (vma, *children))
    counted = ("thp_split_page", "thp_split_page_failed", "thp_split_pmd")
    assert [event(machine, name) for name in counted] == [1, 2, 3]


@pytest.mark.parametrize("mode", ["on", "nokmem", "disabled"])
@pytest.mark.parametrize("design", ["split_queue", "split_queue_reparented", "list_lru"])
def test_splitting_works_however_the_machine_was_booted(design: str, mode: str) -> None:
    machine = small_machine(design, memcg=mode)
    task = start(machine)
    for nid in (0, 1):
        halved(machine, task, 2, nid, f"on{nid}")
    machine.vmscan.try_to_free_pages(0, None)
    assert event(machine, "thp_split_page") == 4
    assert check(machine) == []


def test_what_was_never_mapped_is_not_split() -> None:
    machine = small_machine("split_queue")
    folio = Folio(9, 0)
    assert machine.pages.alloc_huge(9, 0, None, 0) == 0
    assert folio.trylock()
    assert not machine.huge_memory.split_folio(folio)
    machine.lru.folio_put(folio)
    assert machine.pages.nodes[0].free == machine.pages.nodes[0].managed


@pytest.mark.parametrize("part", [UPPER, FULL_MASK])
def test_what_goes_from_an_mlocked_region_takes_the_mark_of_the_folio(
    part: int, machine: Machine, task: Task
) -> None:
    """munlock_vma_folio(); so a child's pages of zeros become the zero page after the parent has gone."""
    vma = mmap(machine, task, 1)
    vma.locked = True
    assert machine.memory.populate(task, vma, 0, FULL_MASK)
    folio = folio_at(vma, 0)
    assert folio.flags & PG_MLOCKED
    child = machine.fork(task, "child").mm.vmas["memory"]
    machine.memory.zap(vma, 0, part)
    assert not folio.flags & PG_MLOCKED
    machine.exit(task)
    assert split(machine, folio)
    assert owners(child, 0) == {"folio": 0, "base": 0, "zero": HUGE}


def test_a_page_that_an_mlocked_region_keeps_is_kept_for_those_after_it(
    machine: Machine, task: Task
) -> None:
    """The walk comes to the parent first; the child's entries find a page that is mlocked."""
    vma = mmap(machine, task, 1)
    vma.locked = True
    assert machine.memory.populate(task, vma, 0, FULL_MASK)
    folio = folio_at(vma, 0)
    child = machine.fork(task, "child").mm.vmas["memory"]
    assert split(machine, folio)
    assert owners(vma, 0)["base"] == owners(child, 0)["base"] == HUGE


def test_mlock_copies_what_a_fork_shares_and_writes_nothing(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1, mask=LOWER)
    child = machine.fork(task, "child")
    theirs = child.mm.vmas["memory"]
    folio = folio_at(vma, 0)
    theirs.locked = True
    assert machine.memory.populate(child, theirs, 0, FULL_MASK)
    assert owners(theirs, 0) == {"folio": 0, "base": HUGE, "zero": 0}
    assert machine.memory.populate(task, vma, 0, FULL_MASK)
    assert vma.slots[0] is folio
    assert folio.zeros == UPPER


@pytest.mark.parametrize("skips", [True, False])
def test_the_scan_of_6_12_splits_an_mlocked_folio_of_zeros(
    skips: bool, machine: Machine, task: Task
) -> None:
    machine.khugepaged.max_ptes_none = 0
    machine.huge_memory.scan_skips_mlocked = skips
    vma = mmap(machine, task, 1)
    vma.locked = True
    assert machine.memory.populate(task, vma, 0, FULL_MASK)
    folio = folio_at(vma, 0)
    folio.get()
    assert machine.huge_memory.split_queued(folio) is not skips
    machine.lru.folio_put(folio)
    assert owners(vma, 0)["base"] == (0 if skips else HUGE)
