# SPDX-License-Identifier: GPL-2.0-only
"""Intrusive doubly linked lists, with the checks of CONFIG_DEBUG_LIST (include/linux/list.h, 7.2).

An object that can be on a list inherits :class:`ListHead`; so does the head of a list. An entry on
no list, and the head of an empty list, point to nothing, where the kernel lets them point to
themselves: so an unlinked object holds no reference to itself, and is gone as soon as nobody
refers to it.

A link is edited under the lock of its list. An edit passes no scheduling point of its own: two
edits of one list can only meet where locking is broken, and the watcher hears of each edit with
the locks that are held (ops.LINK, ops.UNLINK). What the kernel reads without a lock,
list_empty(), passes one; so does an edit of a link that others may look at without the lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mypy_extensions import mypyc_attr

from thplab.cpu.errors import ListCorruption
from thplab.cpu.hook import H
from thplab.cpu.ops import LINK, READ, UNLINK

__all__ = [
    "LIST_POISON",
    "ListHead",
    "list_add",
    "list_add_tail",
    "list_del",
    "list_del_init",
    "list_empty",
    "list_entries",
    "list_move",
    "list_move_tail",
    "list_release",
    "list_splice",
    "list_splice_tail",
]


@mypyc_attr(acyclic=True, allow_interpreted_subclasses=True)
class ListHead:
    """struct list_head: the head of a list, or (inherited) an object that can be on one."""

    def __init__(self) -> None:
        self.next: ListHead | None = None
        self.prev: ListHead | None = None

    def __repr__(self) -> str:
        # No address: a text must be the same in each run.
        return type(self).__name__


LIST_POISON: Final = ListHead()


def _corrupt(what: str, item: ListHead, other: ListHead | None) -> ListCorruption:
    return ListCorruption(f"{what}: entry {item!r}, other party {other!r}")


def list_empty(head: ListHead) -> bool:
    """list_empty(): may be asked without the list's lock, as the kernel does for a folio."""
    if H.on:
        H.watcher.point(READ, head)
    return head.next is None


def _link_last(item: ListHead, head: ListHead) -> None:
    """Link an entry that is on no list at the end; neighbours must point to each other."""
    last = head.prev
    if last is None:
        last = head
    elif last.next is not head:
        raise _corrupt("list_add corruption, prev->next is not next", item, head)
    item.prev = last
    item.next = head
    last.next = item
    head.prev = item


def _link_first(item: ListHead, head: ListHead) -> None:
    """The same at the front."""
    first = head.next
    if first is None:
        first = head
    elif first.prev is not head:
        raise _corrupt("list_add corruption, next->prev is not prev", item, head)
    item.prev = head
    item.next = first
    first.prev = item
    head.next = item


def _check_unlinked(item: ListHead, head: ListHead) -> None:
    if item.next is not None:
        if item.next is LIST_POISON:
            raise _corrupt("list_add corruption, entry was freed", item, head)
        raise _corrupt("list_add double add", item, head)


def list_add_tail(item: ListHead, head: ListHead) -> None:
    """list_add_tail(): link `item` at the end of the list.

    Raises:
        ListCorruption: the entry is on a list already, was freed, or the list is damaged.
    """
    if H.on:
        H.watcher.point(LINK, item)
    _check_unlinked(item, head)
    _link_last(item, head)
    if H.on:
        H.watcher.done(LINK, item, head)


def list_add(item: ListHead, head: ListHead) -> None:
    """list_add(): link `item` at the front of the list. Raises like :func:`list_add_tail`."""
    if H.on:
        H.watcher.point(LINK, item)
    _check_unlinked(item, head)
    _link_first(item, head)
    if H.on:
        H.watcher.done(LINK, item, head)


def _unlink(item: ListHead) -> None:
    """Take `item` out of its ring; its own links are left for the caller to set."""
    prev = item.prev
    next_ = item.next
    if next_ is None or prev is None:
        raise _corrupt("list_del corruption, entry is on no list", item, None)
    if next_ is LIST_POISON:
        raise _corrupt("list_del corruption, entry was freed (LIST_POISON1)", item, None)
    if prev.next is not item:
        raise _corrupt("list_del corruption, prev->next is not the entry", item, prev)
    if next_.prev is not item:
        raise _corrupt("list_del corruption, next->prev is not the entry", item, next_)
    if prev is next_:
        # The entry was alone: what is left is the head of an empty list.
        prev.next = None
        prev.prev = None
    else:
        prev.next = next_
        next_.prev = prev


def list_del_init(item: ListHead) -> None:
    """list_del_init(): unlink; afterwards list_empty() of the item is true.

    Raises:
        ListCorruption: the entry is on no list, was freed, or a neighbour does not point back.
    """
    if H.on:
        H.watcher.point(UNLINK, item)
        # Before the links go: the watcher may want to know where the entry was.
        H.watcher.done(UNLINK, item, item.prev)
    _unlink(item)
    item.next = None
    item.prev = None


def list_del(item: ListHead) -> None:
    """list_del(): unlink and poison, so that any further use of the links is found."""
    if H.on:
        H.watcher.point(UNLINK, item)
        H.watcher.done(UNLINK, item, item.prev)
    _unlink(item)
    item.next = LIST_POISON
    item.prev = LIST_POISON


def list_move(item: ListHead, head: ListHead) -> None:
    """list_move(): from its list to the front of another, or of the same. In between it never looks unlinked."""
    if H.on:
        H.watcher.point(UNLINK, item)
        H.watcher.done(UNLINK, item, item.prev)
    _unlink(item)
    _link_first(item, head)
    if H.on:
        H.watcher.done(LINK, item, head)


def list_move_tail(item: ListHead, head: ListHead) -> None:
    """list_move_tail(): from its list to the end of another, or of the same."""
    if H.on:
        H.watcher.point(UNLINK, item)
        H.watcher.done(UNLINK, item, item.prev)
    _unlink(item)
    _link_last(item, head)
    if H.on:
        H.watcher.done(LINK, item, head)


def list_splice(source: ListHead, head: ListHead) -> None:
    """list_splice_init(): move all entries of `source` to the front of `head`; source is empty then."""
    _splice(source, head, tail=False)


def list_splice_tail(source: ListHead, head: ListHead) -> None:
    """list_splice_tail_init(): move all entries of `source` to the end of `head`; source is empty then."""
    _splice(source, head, tail=True)


def _splice(source: ListHead, head: ListHead, tail: bool) -> None:
    if H.on:
        H.watcher.point(UNLINK, source)
    first = source.next
    last = source.prev
    if first is None or last is None:
        return
    source.next = None
    source.prev = None
    before = head.prev if tail else head
    behind = head if tail else head.next
    # Of an empty list the one that is not the head is missing.
    left = head if before is None else before
    right = head if behind is None else behind
    first.prev = left
    left.next = first
    last.next = right
    right.prev = last
    if H.on:
        H.watcher.done(LINK, source, head)


def list_entries(head: ListHead) -> Iterator[ListHead]:
    """list_for_each_safe(): each entry in order; the current one may be unlinked meanwhile."""
    entry = head.next
    while entry is not None and entry is not head:
        following = entry.next
        yield entry
        entry = following


def list_release(head: ListHead) -> None:
    """Unlink every entry without any check, so that a list that is thrown away leaves no ring behind.

    Not the kernel's: a ring of objects that the garbage collector does not track would never be freed.
    """
    entry = head.next
    head.next = None
    head.prev = None
    while entry is not None and entry is not head:
        following = entry.next
        entry.next = None
        entry.prev = None
        entry = following
