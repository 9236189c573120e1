# SPDX-License-Identifier: GPL-2.0-only
"""Faults on base pages, unmapping, fork and copy on write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mm.small import (
    HUGE,
    LOWER,
    UPPER,
    event,
    fill,
    folio_at,
    halve,
    halved,
    mmap,
    small_machine,
    start,
    touched,
)
from thplab.cpu.errors import KernelBug
from thplab.mm.census import census
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.memory import lowest_bits
from thplab.mm.mm_types import PG_MLOCKED, BasePages, Folio, PteMap, Task


@given(st.integers(0, (1 << 40) - 1), st.integers(0, 45))
def test_the_lowest_bits_are_the_lowest(mask: int, count: int) -> None:
    places = [bit for bit in range(40) if mask >> bit & 1]
    assert lowest_bits(mask, count) == sum(1 << bit for bit in places[:count])


# Faults


def test_base_pages_are_mapped_where_they_were_touched_and_no_further(
    machine: Machine, task: Task
) -> None:
    vma = mmap(machine, task, 1, thp="nohugepage")
    for mask in (0b101, 0b111):
        assert machine.memory.touch(task, vma, 0, mask, False)
    assert task.mm.nr_anon == task.memcg.memory.usage == 3
    found = census(vma, 2)
    assert (found.base, found.split, found.absent) == ([3, 0], [1, 0], 509)


def test_a_hole_in_a_huge_page_is_filled_with_base_pages(machine: Machine, task: Task) -> None:
    vma = halved(machine, task, 1)
    assert machine.memory.touch(task, vma, 0, FULL_MASK, False)
    found = census(vma, 2)
    assert (found.huge, found.base, found.split) == ([1, 0], [256, 0], [0, 0])
    assert task.memcg.memory.usage == HUGE + 256


def test_writing_to_a_page_mapped_entry_by_entry_makes_it_data(
    machine: Machine, task: Task
) -> None:
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 1, True)
    machine.memory.zap(vma, 0, UPPER)
    folio = folio_at(vma, 0)
    machine.memory.touch(task, vma, 0, 0b10, True)
    assert folio.zeros == FULL_MASK
    machine.memory.touch(task, vma, 0, 0b10, False)
    assert folio.zeros == FULL_MASK & ~0b10


def test_writing_to_the_zero_page_gets_a_page(machine: Machine, task: Task) -> None:
    machine.khugepaged.max_ptes_none = 100
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 1, False)
    machine.vmscan.try_to_free_pages(0, None)
    assert census(vma, 2).zero == 511
    machine.memory.touch(task, vma, 0, 0b110, False)
    found = census(vma, 2)
    assert (found.zero, found.base) == (509, [3, 0])


def test_pages_may_come_from_several_nodes_as_memory_runs_out() -> None:
    machine = small_machine()
    task = start(machine)
    node = machine.pages.nodes[0]
    node.take(0, node.free - node.wmark_low - 10, 0)
    vma = machine.mmap(task, "memory", HUGE, None, "nohugepage")
    machine.memory.touch(task, vma, 0, 0xFFFFF, False)
    assert census(vma, 2).base == [10, 10]


def test_populate_fills_what_is_missing_and_writes_nothing(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 2)
    vma.locked = True
    machine.memory.touch(task, vma, 0, 1, False)
    assert machine.memory.populate(task, vma, 0, FULL_MASK)
    assert folio_at(vma, 0).zeros == FULL_MASK & ~1
    assert machine.memory.populate(task, vma, 1, FULL_MASK)
    assert folio_at(vma, 1).zeros == FULL_MASK
    assert folio_at(vma, 1).flags & PG_MLOCKED
    halve(machine, vma)
    assert machine.memory.populate(task, vma, 0, FULL_MASK)
    assert census(vma, 2).base == [256, 0]


def test_a_task_that_is_killed_on_the_way_keeps_nothing(machine: Machine, task: Task) -> None:
    touched(machine, task, 4)
    assert not fill(machine, task, 0)
    assert machine.tasks == {}
    assert task.mm.killed
    assert task.memcg.memory.usage == 0
    assert [node.free for node in machine.pages.nodes] == [
        node.managed for node in machine.pages.nodes
    ]
    assert check(machine) == []


# Unmapping


def test_unmapping_nothing_changes_nothing(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1)
    machine.memory.zap(vma, 0, FULL_MASK)
    machine.memory.touch(task, vma, 0, 1, False)
    machine.memory.zap(vma, 0, UPPER)
    machine.memory.zap(vma, 0, UPPER)
    assert census(vma, 2).absent == 256


def test_the_last_page_frees_the_folio_and_takes_it_off_the_queue(
    machine: Machine, task: Task
) -> None:
    vma = halved(machine, task, 2)
    folio = folio_at(vma, 0)
    machine.memory.zap(vma, 0, LOWER)
    assert folio.is_freed()
    assert vma.slots[0] is None
    assert machine.vmstat.mthp[9]["nr_anon_partially_mapped"] == 1
    assert task.memcg.memory.usage == HUGE


def test_base_pages_are_freed_one_by_one_and_make_a_block_whole_in_the_end(
    machine: Machine, task: Task
) -> None:
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, FULL_MASK, False)
    node = machine.pages.nodes[0]
    machine.memory.zap(vma, 0, UPPER)
    assert (node.fragmented, task.memcg.memory.usage) == (256, 256)
    machine.memory.zap(vma, 0, LOWER)
    assert (node.fragmented, task.memcg.memory.usage) == (0, 0)
    objcg = task.memcg.nodeinfo[0].objcg
    assert objcg is not None
    assert objcg.refcount == 1


def test_where_a_part_was_unmapped_no_huge_page_fits(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1)
    machine.memory.unmap_part(vma, 0, 1)
    machine.memory.touch(task, vma, 0, 0b10, False)
    assert census(vma, 2).base == [1, 0]
    assert event(machine, "thp_fault_alloc") == 0


def test_a_folio_that_is_mapped_may_not_be_freed() -> None:
    machine = small_machine()
    task = start(machine)
    folio = folio_at(touched(machine, task, 1), 0)
    with pytest.raises(KernelBug, match="Bad page state: freed while mapped"):
        machine.lru.folio_put(folio)


# Fork and copy on write


def test_a_forked_task_shares_all_memory(machine: Machine, task: Task) -> None:
    halved(machine, task, 1, 1, "halved")
    whole = touched(machine, task, 1, 0, "whole")
    base = mmap(machine, task, 1, 0, "base", "nohugepage")
    machine.memory.touch(task, base, 0, 0b1111, False)
    base.gone[0] = 1 << 500
    child = machine.fork(task, "child")
    assert child.memcg is task.memcg
    assert task.memcg.memory.usage == 2 * HUGE + 4
    assert child.mm.nr_anon == task.mm.nr_anon == 256 + 512 + 4
    for name, vma in child.mm.vmas.items():
        theirs, ours = census(vma, 2), census(task.mm.vmas[name], 2)
        assert (theirs.huge, theirs.base, theirs.absent) == (ours.huge, ours.base, ours.absent)
        assert vma.gone == task.mm.vmas[name].gone
    assert folio_at(whole, 0).entire_mapcount == 2
    assert check(machine) == []
    machine.exit(task)
    assert check(machine) == []
    machine.exit(child)
    assert machine.memcg.root.memory.usage == 0


def test_what_was_mlocked_is_not_in_the_child(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1)
    vma.locked = True
    assert not machine.fork(task, "child").mm.vmas["memory"].locked


@pytest.mark.parametrize("who", ["task", "child"])
def test_a_write_to_a_shared_huge_page_copies_base_pages(
    who: str, machine: Machine, task: Task
) -> None:
    """do_huge_pmd_wp_page(): the PMD is split, and the pages written to are copied one by one."""
    touched(machine, task, 1)
    machine.fork(task, "child")
    writer = machine.tasks[who]
    vma = writer.mm.vmas["memory"]
    folio = folio_at(vma, 0)
    assert machine.memory.touch(writer, vma, 0, 0b11, False)
    assert event(machine, "thp_split_pmd") == 1
    found = census(vma, 2)
    assert (found.huge, found.base) == ([1, 0], [2, 0])
    assert (folio.entire_mapcount, folio.mapped.bit_count()) == (1, 510)
    assert task.memcg.memory.usage == HUGE + 2
    assert event(machine, "thp_deferred_split_page") == 0


def test_the_last_sharer_writes_without_a_copy(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1)
    child = machine.fork(task, "child")
    machine.exit(child)
    assert machine.memory.touch(task, vma, 0, FULL_MASK, False)
    assert isinstance(vma.slots[0], Folio)
    assert event(machine, "thp_split_pmd") == 0


def test_shared_base_pages_are_copied_on_write(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, 0b1111, False)
    child = machine.fork(task, "child")
    copy = child.mm.vmas["memory"]
    machine.memory.touch(child, copy, 0, 0b11, False)
    assert task.memcg.memory.usage == 6
    owner = vma.slots[0].owner  # type: ignore[union-attr]
    assert isinstance(owner, BasePages)
    assert (owner.mapped, owner.more_mapped) == (0b1111, [0b1100])
    machine.memory.touch(task, vma, 0, 0b1111, False)
    assert task.memcg.memory.usage == 8


def test_entries_of_a_folio_shared_page_by_page_are_copied_on_write(
    machine: Machine, task: Task
) -> None:
    vma = halved(machine, task, 1)
    machine.fork(task, "child")
    folio = folio_at(vma, 0)
    machine.memory.touch(task, vma, 0, 0b11, True)
    assert folio.more_mapped == [LOWER & ~0b11]
    assert task.memcg.memory.usage == HUGE + 2


def test_the_zero_page_is_shared_without_being_counted(machine: Machine, task: Task) -> None:
    machine.khugepaged.max_ptes_none = 100
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 1, False)
    machine.vmscan.try_to_free_pages(0, None)
    child = machine.fork(task, "child")
    assert census(child.mm.vmas["memory"], 2).zero == 511
    assert child.mm.nr_anon == task.mm.nr_anon == 1


def test_the_entries_of_a_slot_are_forgotten_when_they_point_nowhere(
    machine: Machine, task: Task
) -> None:
    vma = halved(machine, task, 1)
    machine.memory.touch(task, vma, 0, UPPER, False)
    first = vma.slots[0]
    assert isinstance(first, PteMap)
    assert first.next is not None
    machine.memory.zap(vma, 0, UPPER)
    left = vma.slots[0]
    assert isinstance(left, PteMap)
    assert left.next is None
    assert isinstance(left.owner, Folio)
