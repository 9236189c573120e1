# SPDX-License-Identifier: GPL-2.0-only
"""Each link of a list is edited under the lock of that list; a list on a stack is its owner's alone."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.list_head import LIST_POISON, ListHead
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import LINK, LOCK, TRYLOCK, UNLINK, UNLOCK
from thplab.cpu.spinlock import SpinLock
from thplab.explorer.core_check import Check, CheckFailed

__all__ = ["ListOwnership"]

_FAR = 4096


class ListOwnership(Check):
    """Who may edit a list.

    The holder of its head's `lock`, where the head has one. A head without one that the world says
    is shared must always be edited under one lock in common, whichever that is (Savage et al.,
    Eraser, 1997). Any other is on a stack, and belongs to the lane that linked to it first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.name = "list ownership"
        self.private: dict[ListHead, int] = {}
        self.held: list[list[SpinLock]] = []
        self.editors: dict[ListHead, int] = {}
        self.common: dict[ListHead, list[SpinLock]] = {}

    def done_mask(self) -> i64:
        """Edits, and the locks that are held in them."""
        return (1 << LINK) | (1 << UNLINK) | (1 << LOCK) | (1 << TRYLOCK) | (1 << UNLOCK)

    def begin(self) -> None:
        """No lock is held, no list known."""
        self.held = [[] for _ in self.cpus]
        if self.private:
            self.private = {}
        if self.common:
            self.common = {}
            self.editors = {}

    def done(self, lane: i64, op: i64, obj: object, arg: object) -> None:
        """A link is made, or is about to go; or a lock changes hands."""
        if isinstance(obj, SpinLock):
            if op == UNLOCK:
                self.held[H.cpu.number].remove(obj)
            else:
                self.held[H.cpu.number].append(obj)
            return
        assert isinstance(obj, ListHead)
        head = self._head_of(arg if op == UNLINK else obj)
        if head is not None:
            self._check(lane, head, obj)
        if op == LINK and not isinstance(obj, KernelObject):
            # A splice: the list that was emptied is edited too.
            self._check(lane, obj, obj)

    def _head_of(self, item: object) -> ListHead | None:
        """The head of the ring that the item is in: what is no entry."""
        position = item if isinstance(item, ListHead) else None
        for _ in range(_FAR):
            if position is None or position is LIST_POISON:
                return None
            if not isinstance(position, KernelObject):
                return position
            position = position.prev
        return None

    def _check(self, lane: i64, head: ListHead, item: ListHead) -> None:
        lock = getattr(head, "lock", None)
        cpu = H.cpu
        if isinstance(lock, SpinLock):
            if lock.owner is not cpu:
                raise CheckFailed(
                    self.name,
                    f"{item!r} is linked or unlinked on {head!r} by {cpu!r}, which does not hold "
                    f"its lock ({lock!r})",
                )
            return
        owner = self.private.get(head)
        if owner is None and self._shared(head):
            self._check_common(lane, head, item)
        elif owner is None:
            self.private[head] = int(lane)
        elif owner != lane:
            raise CheckFailed(
                self.name,
                f"{cpu!r} edits the list on the stack of another CPU, with {item!r} on it",
            )

    def _shared(self, head: ListHead) -> bool:
        if head in self.common:
            return True
        world = self.world
        shared = None if world is None else world.shared_lists()
        return shared is None or any(one is head for one in shared)

    def _check_common(self, lane: i64, head: ListHead, item: ListHead) -> None:
        """A lock that was held at every edit so far, once there were two lanes."""
        held = self.held[H.cpu.number]
        before = self.common.get(head)
        common = held if before is None else [lock for lock in before if lock in held]
        self.common[head] = list(common)
        editors = self.editors.get(head, 0) | 1 << int(lane)
        self.editors[head] = editors
        if not common and editors & (editors - 1):
            raise CheckFailed(
                self.name,
                f"{item!r} is linked or unlinked on {head!r} by {H.cpu!r}: no lock is held at each of "
                "its edits",
            )
