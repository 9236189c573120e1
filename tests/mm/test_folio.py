# SPDX-License-Identifier: GPL-2.0-only
"""Folios, base pages, counters and the census."""

from __future__ import annotations

import re

import pytest

from tests.mm.small import HUGE, UPPER, halved, mmap, small_machine, touched
from thplab.cpu.errors import UseAfterFree
from thplab.cpu.hook import Watcher
from thplab.mm.census import census
from thplab.mm.geometry import FULL_MASK, order_mask
from thplab.mm.machine import Machine
from thplab.mm.mm_types import BasePages, Folio, Task, folio_memcg
from thplab.mm.vmstat import (
    MTHP_STAT_NR_ANON,
    THP_SPLIT_PAGE,
    VmStat,
    counters,
    mthp_size_name,
)


def test_a_folio_has_a_bit_for_each_of_its_pages() -> None:
    assert [order_mask(order).bit_count() for order in range(10)] == [
        1 << order for order in range(10)
    ]
    folio = Folio(4, 1)
    assert folio.nr_pages == 16
    folio.mapped = 0b1010
    assert folio.page_mapped_mask() == 0b1010
    folio.entire_mapcount = 1
    assert folio.page_mapped_mask() == 0xFFFF


def test_the_lock_of_a_folio_is_a_flag() -> None:
    folio = Folio(9, 0)
    assert folio.trylock()
    assert not folio.trylock()
    folio.unlock()
    assert folio.trylock()


def test_asking_a_freed_folio_for_its_state_is_found() -> None:
    """B07."""
    folio = Folio(9, 0)
    assert not folio.test_partially_mapped()
    folio.poison()
    with pytest.raises(UseAfterFree, match="on a freed folio"):
        folio.test_partially_mapped()


def test_objects_say_where_they_are() -> None:
    folio = Folio(9, 1)
    folio.index = 1024
    assert repr(folio) == "folio(order 9, node 1, index 1024, refcount 1, flags 0x30)"
    pages = BasePages(0)
    pages.mapped = 7
    assert repr(pages) == "base pages(3, node 0)"
    assert repr(Task("task", small_machine().memcg.root)) == "task task"


def test_a_watched_folio_tells_its_cgroup_under_rcu(
    watched: Watcher, machine: Machine, task: Task
) -> None:
    folio = touched(machine, task, 1).slots[0]
    assert isinstance(folio, Folio)
    machine.rcu.read_lock()
    assert folio_memcg(folio) is task.memcg
    machine.rcu.read_unlock()


# Counters


def test_counters_have_the_kernels_names() -> None:
    stat = VmStat()
    assert list(stat.events) == [row.name for kind, row in counters() if kind == "vmstat"]
    assert all(value == 0 for value in stat.events.values())
    stat.count(THP_SPLIT_PAGE)
    stat.count(THP_SPLIT_PAGE, 4)
    assert stat.events["thp_split_page"] == 5
    assert sum(stat.events.values()) == 5
    stat.mod_mthp(9, MTHP_STAT_NR_ANON, 3)
    stat.mod_mthp(9, MTHP_STAT_NR_ANON, -1)
    names = [row.name for kind, row in counters() if kind == "mthp"]
    assert [list(size) for size in stat.mthp] == [names] * 10
    assert [size["nr_anon"] for size in stat.mthp] == [0] * 9 + [2]
    assert sum(sum(size.values()) for size in stat.mthp) == 2
    assert mthp_size_name(9) == "2048kB"
    assert mthp_size_name(2) == "16kB"


def test_each_counter_is_one_row_with_the_release_that_brought_it() -> None:
    rows = [(kind, row.name) for kind, row in counters()]
    assert rows == sorted(rows, key=lambda row: (row[0] == "mthp", row[1]))
    assert len(set(rows)) == len(rows)
    for _, row in counters():
        assert re.fullmatch(r"\d+\.\d+(\.\d+)?", row.since), row.name
        assert row.meaning, row.name
        assert not row.meaning.endswith("."), row.name


# The census


def test_the_census_tells_whole_huge_pages_from_ranges_of_base_pages(
    machine: Machine, task: Task
) -> None:
    vma = machine.mmap(task, "memory", 5 * HUGE + 100)
    for slot in (0, 1, 2):
        machine.memory.touch(task, vma, slot, FULL_MASK, False)
    machine.memory.zap(vma, 1, UPPER)
    vma.thp = "nohugepage"
    machine.memory.touch(task, vma, 3, 0b11, False)
    machine.memory.touch(task, vma, 1, UPPER, False)
    machine.memory.touch(task, vma, 5, 1, False)
    found = census(vma, 2)
    assert found.huge == [3, 0]
    assert found.base == [2 + 256 + 1, 0]
    assert found.split == [2, 0], "a range with a whole huge page in it is not split"
    assert found.absent == 510 + 512 + 99


def test_a_split_range_is_counted_on_the_node_of_its_first_base_page(
    machine: Machine, task: Task
) -> None:
    vma = machine.mmap(task, "memory", HUGE, None, "nohugepage")
    for nid, mask in ((1, 0b1100), (0, 0b0011)):
        task.cpu_nid = nid
        machine.memory.touch(task, vma, 0, mask, False)
    assert census(vma, 2).split == [1, 0]
    machine.memory.zap(vma, 0, 0b0011)
    assert census(vma, 2).split == [0, 1]


def test_a_range_of_zeros_is_not_split(machine: Machine, task: Task) -> None:
    machine.khugepaged.max_ptes_none = 0
    vma = mmap(machine, task, 1)
    machine.memory.touch(task, vma, 0, 1, True)
    machine.vmscan.try_to_free_pages(0, None)
    found = census(vma, 2)
    assert (found.split, found.huge, found.zero) == ([0, 0], [0, 0], 512)


def test_a_partly_mapped_folio_is_still_whole(machine: Machine, task: Task) -> None:
    found = census(halved(machine, task, 3, 1), 2)
    assert (found.huge, found.split, found.absent) == ([0, 3], [0, 0], 3 * 256)
