# SPDX-License-Identifier: GPL-2.0-only
"""The VMAs of a region: what munmap(2) and mprotect(2) make of them, and what fits into one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mm.small import HUGE, LOWER, UPPER, mmap, small_machine, start, touched
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PROT_READ, PROT_WRITE, Folio, Task, Vma
from thplab.mm.vma import in_pieces, vma_covers

PAGES = 3 * HUGE
BOTH = PROT_READ | PROT_WRITE

ranges = st.tuples(st.integers(0, PAGES - 1), st.integers(1, PAGES))


def region(huge: int = 3) -> tuple[Machine, Task, Vma]:
    """A region of whole huge pages that nobody has touched."""
    machine = small_machine()
    task = start(machine)
    return machine, task, mmap(machine, task, huge)


def extents(vma: Vma) -> list[tuple[int, int, int]]:
    """First page, the one after the last, and the access of each piece."""
    return [(int(piece.first), int(piece.end), int(piece.access)) for piece in vma.pieces]


@given(st.booleans(), st.lists(st.tuples(ranges, st.sampled_from([0, 1, 3])), max_size=10))
def test_pieces_are_the_runs_of_equal_access(
    touch: bool, calls: list[tuple[tuple[int, int], int]]
) -> None:
    machine, task, vma = region()
    if touch:
        machine.memory.touch(task, vma, 0, 1, False)
    access = [3] * PAGES
    for (first, length), wanted in calls:
        end = min(first + length, PAGES)
        machine.mprotect.do_mprotect(task, vma, first, end, wanted)
        access[first:end] = [wanted] * (end - first)
    changes = [page for page in range(1, PAGES) if access[page] != access[page - 1]]
    firsts = [0, *changes]
    ends = [*changes, PAGES]
    assert extents(vma) == [(a, b, access[a]) for a, b in zip(firsts, ends, strict=True)]
    for slot in range(3):
        one = len(set(access[slot * HUGE : (slot + 1) * HUGE])) == 1
        assert vma_covers(vma, slot) == one
        parts = in_pieces(vma, slot, FULL_MASK)
        assert sum(parts) == FULL_MASK
        assert (len(parts) == 1) == one


def test_a_slot_that_the_region_ends_in_is_covered_by_none() -> None:
    machine, task, _vma = region()
    short = machine.mmap(task, "short", HUGE + 5, None, "default")
    assert [vma_covers(short, slot) for slot in range(2)] == [True, False]
    assert in_pieces(short, 1, 0b11) == [0b11]


def test_no_piece_has_what_was_unmapped() -> None:
    machine, _task, vma = region()
    machine.memory.unmap_part(vma, 1, UPPER)
    machine.memory.unmap_part(vma, 2, FULL_MASK)
    assert [vma_covers(vma, slot) for slot in range(3)] == [True, False, False]
    assert in_pieces(vma, 1, FULL_MASK) == [LOWER]
    assert in_pieces(vma, 2, FULL_MASK) == []


def test_unmapping_several_runs_leaves_what_is_between() -> None:
    machine, task, vma = region(1)
    machine.memory.touch(task, vma, 0, FULL_MASK, False)
    machine.memory.unmap_part(vma, 0, 0b1001100)
    assert extents(vma) == [(0, 2, BOTH), (4, 6, BOTH), (7, 512, BOTH)]
    assert in_pieces(vma, 0, FULL_MASK) == [0b11, 0b110000, FULL_MASK & ~0b1111111]
    machine.exit(task)
    assert check(machine) == []


@pytest.mark.parametrize("into_untouched", [True, False])
def test_touched_memory_merges_into_an_untouched_neighbour_since_6_16(into_untouched: bool) -> None:
    machine, task, vma = region(1)
    machine.mprotect.merges_into_untouched = into_untouched
    machine.mprotect.do_mprotect(task, vma, 0, 256, 0)
    machine.memory.touch(task, vma, 0, UPPER, False)
    machine.mprotect.do_mprotect(task, vma, 256, 512, 0)
    assert vma_covers(vma, 0) == into_untouched


def test_untouched_memory_merges_into_a_touched_neighbour() -> None:
    machine, task, vma = region(1)
    machine.mprotect.merges_into_untouched = False
    machine.mprotect.do_mprotect(task, vma, 256, 512, 0)
    machine.memory.touch(task, vma, 0, LOWER, False)
    machine.mprotect.do_mprotect(task, vma, 256, 512, BOTH)
    assert vma_covers(vma, 0)


def test_pieces_that_were_touched_apart_are_not_merged() -> None:
    """Each found no neighbour with an anon_vma; what lies between them joins the first."""
    machine, task, vma = region(1)
    machine.mprotect.do_mprotect(task, vma, 100, 200, 0)
    machine.memory.touch(task, vma, 0, 1, False)
    machine.memory.touch(task, vma, 0, 1 << 300, False)
    machine.mprotect.do_mprotect(task, vma, 100, 200, BOTH)
    assert extents(vma) == [(0, 200, BOTH), (200, 512, BOTH)]


def test_a_neighbour_lends_its_anon_vma_so_that_they_merge_again() -> None:
    machine, task, vma = region(1)
    machine.mprotect.do_mprotect(task, vma, 0, 100, PROT_READ)
    machine.mprotect.do_mprotect(task, vma, 100, 200, 0)
    machine.memory.touch(task, vma, 0, 1 << 300, False)
    machine.mprotect.do_mprotect(task, vma, 100, 200, BOTH)
    machine.mprotect.do_mprotect(task, vma, 0, 100, BOTH)
    assert extents(vma) == [(0, 512, BOTH)]


def test_the_pieces_of_a_child_stay_apart_because_each_has_an_anon_vma_of_its_own() -> None:
    machine = small_machine()
    task = start(machine)
    parent = touched(machine, task, 1)
    machine.mprotect.do_mprotect(task, parent, 256, 512, 0)
    child_task = machine.fork(task, "child")
    child = child_task.mm.vmas["memory"]
    for owner, vma in ((task, parent), (child_task, child)):
        machine.mprotect.do_mprotect(owner, vma, 256, 512, BOTH)
    assert vma_covers(parent, 0)
    assert not vma_covers(child, 0)
    machine.mprotect.do_mprotect(child_task, child, 300, 400, 0)
    machine.mprotect.do_mprotect(child_task, child, 300, 400, BOTH)
    assert extents(child) == [(0, 256, BOTH), (256, 512, BOTH)], "what was split later merges again"


def test_a_huge_page_fits_again_when_the_access_is_equal_again() -> None:
    machine, task, vma = region(1)
    machine.mprotect.do_mprotect(task, vma, 256, 512, PROT_READ)
    machine.mprotect.do_mprotect(task, vma, 256, 512, BOTH)
    machine.memory.touch(task, vma, 0, 1, False)
    assert isinstance(vma.slots[0], Folio)
