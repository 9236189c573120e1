# SPDX-License-Identifier: GPL-2.0-only
"""The order of a reverse map walk, and what it shows of a folio that a fork shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mm.small import (
    HUGE,
    LOWER,
    UPPER,
    event,
    folio_at,
    small_machine,
    split,
    start,
    touched,
)
from thplab.mm.geometry import FULL_MASK
from thplab.mm.interval_tree import anon_vma_interval_tree
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_PARTIALLY_MAPPED, MmStruct, PteMap, Vma
from thplab.mm.vma import cut_vma

PAGES = 4 * HUGE


def runs(pages: set[int]) -> list[tuple[int, int]]:
    """The runs of consecutive pages, each with its first and the one after its last."""
    firsts = sorted(page for page in pages if page - 1 not in pages)
    ends = sorted(page + 1 for page in pages if page + 1 not in pages)
    return list(zip(firsts, ends, strict=True))


@given(st.lists(st.tuples(st.integers(0, PAGES - 1), st.integers(1, PAGES)), max_size=12))
def test_the_pieces_are_what_munmap_left(cuts: list[tuple[int, int]]) -> None:
    vma = Vma(MmStruct(), "memory", PAGES, None, "default")
    left = set(range(PAGES))
    for first, length in cuts:
        cut_vma(vma, first, first + length)
        left -= set(range(first, first + length))
    assert [(piece.first, piece.end) for piece in vma.pieces] == runs(left)
    turns = [piece.turn for piece in vma.pieces]
    assert len(set(turns)) == len(turns)


def family(huge: int = 4) -> tuple[Machine, Vma, Vma]:
    """A machine, a region of whole huge pages, none queued yet, and the region of a forked child."""
    machine = small_machine()
    machine.huge_memory.thp.shrink_underused = False
    task = start(machine)
    parent = touched(machine, task, huge)
    child = machine.fork(task, "child").mm.vmas["memory"]
    return machine, parent, child


def walk(vma: Vma, slot: int) -> list[tuple[Vma, int]]:
    """The walk for the folio at a slot."""
    return anon_vma_interval_tree(vma.anon_vma, slot)


def test_regions_that_begin_together_come_in_the_order_of_the_forks() -> None:
    _machine, parent, child = family()
    assert walk(parent, 2) == [(parent, FULL_MASK), (child, FULL_MASK)]


def test_who_begins_earlier_comes_first() -> None:
    machine, parent, child = family()
    machine.memory.unmap_part(parent, 0, LOWER)
    assert walk(parent, 0) == [(child, FULL_MASK), (parent, UPPER)]
    assert walk(parent, 3) == [(child, FULL_MASK), (parent, FULL_MASK)]


def test_among_equals_the_one_cut_last_comes_last() -> None:
    machine, parent, child = family()
    machine.memory.unmap_part(child, 1, FULL_MASK)
    machine.memory.unmap_part(parent, 1, FULL_MASK)
    assert [vma for vma, _mask in walk(parent, 3)] == [child, parent]
    assert [vma for vma, _mask in walk(parent, 0)] == [child, parent]


def test_a_hole_makes_two_pieces_of_one_region() -> None:
    machine, parent, child = family()
    hole = ((1 << 100) - 1) << 100
    machine.memory.unmap_part(parent, 0, hole)
    first, last = (1 << 100) - 1, FULL_MASK & ~((1 << 200) - 1)
    assert walk(parent, 0) == [(child, FULL_MASK), (parent, first), (parent, last)]
    assert walk(parent, 1) == [(child, FULL_MASK), (parent, FULL_MASK)]


@pytest.mark.parametrize(("unmapped", "flagged"), [(LOWER, 1), (UPPER, 0)])
def test_a_pmd_that_goes_before_the_entries_of_another_shows_a_partly_mapped_folio(
    unmapped: int, flagged: int
) -> None:
    """The child maps the folio whole. What the parent has left of it belongs to a piece that begins
    after the child's, or before.
    """
    machine, parent, child = family()
    machine.memory.unmap_part(child, 0, LOWER)
    machine.memory.unmap_part(parent, 3, unmapped)
    assert event(machine, "thp_deferred_split_page") == 0
    assert split(machine, folio_at(child, 3))
    assert event(machine, "thp_deferred_split_page") == flagged


def test_entries_that_a_walk_took_apart_are_one_again_after_a_failure() -> None:
    machine, parent, child = family(1)
    machine.memory.unmap_part(parent, 0, 0b1110)
    folio = folio_at(child, 0)
    folio.get()  # somebody else's: it cannot be split
    assert not split(machine, folio)
    here = parent.slots[0]
    assert isinstance(here, PteMap)
    assert (here.mask, here.next) == (FULL_MASK & ~0b1110, None)
    assert not here.migrating
    machine.lru.folio_put(folio)
    assert check(machine) == []
    assert split(machine, folio)
    assert check(machine) == []
    assert not folio.flags & PG_PARTIALLY_MAPPED
