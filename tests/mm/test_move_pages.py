# SPDX-License-Identifier: GPL-2.0-only
"""move_pages(2) of several folios to a node that has too little room: which of them it gets to."""

from __future__ import annotations

import pytest

from tests.mm.small import LOWER, UPPER, event, folio_at, small_machine, start, touched
from thplab.mm.census import census
from thplab.mm.geometry import FULL_MASK
from thplab.mm.machine import Machine
from thplab.mm.migrate import by_address
from thplab.mm.mm_types import BasePages, Folio, Task

ALL = [(0, FULL_MASK), (1, FULL_MASK), (2, FULL_MASK)]


@pytest.fixture
def machine() -> Machine:
    """One with two nodes."""
    return small_machine()


@pytest.fixture
def task(machine: Machine) -> Task:
    """A task."""
    return start(machine)


def crowd(machine: Machine, room: int) -> None:
    """Leave room for so many base pages on node 1, and for no huge page."""
    node = machine.pages.nodes[1]
    node.take(0, node.free - node.wmark_min - room, 0)
    node.fragmented = node.free


@pytest.mark.parametrize(("discarded", "splits"), [(LOWER, 0), (UPPER, 1)])
def test_what_comes_first_by_address_is_tried_first(
    discarded: int, splits: int, machine: Machine, task: Task
) -> None:
    """A task has written again to what it discarded of a huge page. A base page that finds no room ends the call
    (-ENOMEM); the kernel splits the huge page only if it comes before these. Seen on 6.12 and 7.3.
    """
    vma = touched(machine, task, 1)
    machine.memory.zap(vma, 0, discarded)
    machine.memory.touch(task, vma, 0, discarded, False)
    crowd(machine, 46)
    assert machine.migration.move_pages(vma, [(0, FULL_MASK)], 1) == -1
    assert event(machine, "thp_split_page") == event(machine, "thp_migration_split") == splits
    assert census(vma, 2).base[1] == 46


def test_the_call_ends_at_a_page_that_stays_if_something_before_it_was_left(
    machine: Machine, task: Task
) -> None:
    """do_pages_move() moves what it has collected before it goes past a page that is on the node already."""
    vma = touched(machine, task, 3)
    assert machine.migration.move_pages(vma, [(1, FULL_MASK)], 1) == 0
    crowd(machine, 100)
    assert machine.migration.move_pages(vma, ALL, 1) == 1
    assert event(machine, "thp_split_page") == 1
    assert folio_at(vma, 2).nid == 0


def test_without_such_a_page_it_goes_on_to_the_end(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 3)
    crowd(machine, 100)
    assert machine.migration.move_pages(vma, ALL, 1) == 1
    assert event(machine, "thp_split_page") == 3


def test_nothing_was_left_if_all_pages_of_a_split_folio_moved(machine: Machine, task: Task) -> None:
    """It counts as a failure of migration all the same."""
    vma = touched(machine, task, 2)
    assert machine.migration.move_pages(vma, [(1, FULL_MASK)], 1) == 0
    crowd(machine, 600)
    assert machine.migration.move_pages(vma, ALL[:2], 1) == 0
    assert event(machine, "thp_migration_fail") == event(machine, "thp_migration_split") == 1
    assert census(vma, 2).base == [0, 512]


def test_base_pages_move_in_runs_and_a_folio_has_the_place_of_its_first_page() -> None:
    """Bits from the lowest on: base pages at 0, 1, 4 and 7, some that stay at 2 and 5, a folio's at 3 and 6."""
    first, second = BasePages(0), BasePages(0)
    folio = Folio(9, 0)
    found = by_address([(folio, 0b01001000), (first, 0b10010011), (None, 0b00100100)])
    assert found == [
        (first, 0b00000011),
        (None, 0b00000100),
        (folio, 0b01001000),
        (first, 0b00010000),
        (None, 0b00100000),
        (first, 0b10000000),
    ]
    assert by_address([(second, 0b10), (first, 0b01)]) == [(first, 0b01), (second, 0b10)]
