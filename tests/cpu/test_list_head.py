# SPDX-License-Identifier: GPL-2.0-only
"""Intrusive lists on one CPU: with nobody watching, and with a watcher that only looks."""

from __future__ import annotations

import pytest

from thplab.cpu import hook
from thplab.cpu.errors import ListCorruption
from thplab.cpu.hook import Watcher, attach, detach
from thplab.cpu.list_head import (
    LIST_POISON,
    ListHead,
    list_add,
    list_add_tail,
    list_del,
    list_del_init,
    list_empty,
    list_entries,
    list_move,
    list_move_tail,
    list_release,
    list_splice,
    list_splice_tail,
)


@pytest.fixture(params=["nobody watches", "watched"], autouse=True)
def machine(request: pytest.FixtureRequest, cpu_log: dict[str, int]) -> None:
    """Every test twice, on a CPU of its own."""
    if request.param == "watched":
        hook.attach(Watcher())


def ring(count: int) -> tuple[ListHead, list[ListHead]]:
    head, items = ListHead(), [ListHead() for _ in range(count)]
    for item in items:
        list_add_tail(item, head)
    return head, items


def test_a_list_keeps_the_order_of_addition() -> None:
    head, items = ring(3)
    first = ListHead()
    list_add(first, head)
    assert list(list_entries(head)) == [first, *items]
    list_del_init(items[1])
    assert list(list_entries(head)) == [first, items[0], items[2]]
    assert list_empty(items[1])
    list_release(head)


def test_an_entry_may_be_unlinked_while_the_list_is_walked() -> None:
    head, items = ring(3)
    for item in list_entries(head):
        list_del_init(item)
    assert list_empty(head)
    assert all(list_empty(item) for item in items)


def test_the_last_entry_leaves_an_empty_list() -> None:
    head, (item,) = ring(1)
    list_del_init(item)
    assert list_empty(head)
    assert head.prev is None


def test_a_moved_entry_goes_to_the_end_of_the_other_list() -> None:
    head, items = ring(2)
    other, theirs = ring(1)
    list_move_tail(items[0], other)
    assert list(list_entries(other)) == [theirs[0], items[0]]
    list_move_tail(items[1], other)
    assert list_empty(head)
    empty = ListHead()
    list_move_tail(items[1], empty)
    assert list(list_entries(empty)) == [items[1]]
    list_release(other)
    list_release(empty)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("there", [0, 1, 2])
def test_a_splice_moves_all_entries_in_order(count: int, there: int) -> None:
    for splice in (list_splice, list_splice_tail):
        source, moved = ring(count)
        head, stayed = ring(there)
        splice(source, head)
        expected = [*moved, *stayed] if splice is list_splice else [*stayed, *moved]
        assert list(list_entries(head)) == expected
        assert list_empty(source)
        list_release(head)


def test_list_damage_names_both_parties() -> None:
    head, (item,) = ring(1)
    for add in (list_add, list_add_tail):
        with pytest.raises(ListCorruption, match="double add"):
            add(item, head)
    list_del(item)
    assert item.next is LIST_POISON
    for add in (list_add, list_add_tail):
        with pytest.raises(ListCorruption, match="entry was freed"):
            add(item, head)
    with pytest.raises(ListCorruption, match="entry was freed"):
        list_del_init(item)
    with pytest.raises(ListCorruption, match="entry is on no list"):
        list_del_init(ListHead())


def test_a_move_goes_to_the_front_of_the_other_list() -> None:
    head, items = ring(3)
    other, theirs = ring(2)
    list_move(items[1], other)
    assert list(list_entries(head)) == [items[0], items[2]]
    assert list(list_entries(other)) == [items[1], *theirs]
    list_move(items[2], head)
    assert list(list_entries(head)) == [items[2], items[0]]
    for ring_head in (head, other):
        list_release(ring_head)


def test_a_move_never_leaves_the_entry_looking_unlinked() -> None:
    """list_empty() of the entry may be asked at any time."""
    head, items = ring(1)
    seen: list[int] = []

    class Looks(Watcher):
        def point(self, op: int, obj: object) -> None:
            seen.append(op)

    attach(Looks())
    other = ListHead()
    list_move(items[0], other)
    detach()
    assert len(seen) == 1, "one step"
    list_release(other)
    assert head.next is None


def test_links_that_do_not_point_back_are_found() -> None:
    head, items = ring(2)
    items[0].next = head
    with pytest.raises(ListCorruption, match="prev->next is not the entry"):
        list_del_init(items[1])
    head, items = ring(2)
    items[1].prev = head
    with pytest.raises(ListCorruption, match="next->prev is not the entry"):
        list_del_init(items[0])
    head, items = ring(1)
    items[0].next = items[0]
    with pytest.raises(ListCorruption, match="prev->next is not next"):
        list_add_tail(ListHead(), head)
    items[0].prev = items[0]
    with pytest.raises(ListCorruption, match="next->prev is not prev"):
        list_add(ListHead(), head)
    list_release(head)
