# SPDX-License-Identifier: GPL-2.0-only
"""Each link of a list is edited under the lock of that list; a list on a stack is its owner's alone."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.list_head import LIST_POISON, ListHead
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import LINK, UNLINK
from thplab.cpu.spinlock import SpinLock
from thplab.explore.core_check import Check, CheckFailed

__all__ = ["ListOwnership"]

_FAR = 4096


class ListOwnership(Check):
    """Who may edit a list: the holder of its head's `lock`, or, of a head without one, who linked to it first."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "list ownership"
        self.private: dict[ListHead, int] = {}

    def done_mask(self) -> i64:
        """Edits."""
        return (1 << LINK) | (1 << UNLINK)

    def begin(self) -> None:
        """No list on a stack yet."""
        if self.private:
            self.private = {}

    def done(self, lane: i64, op: i64, obj: object, arg: object) -> None:
        """A link is made, or is about to go."""
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
                    f"{item!r} is linked or unlinked on {head!r} by {cpu!r}, which does not hold its lock "
                    f"({lock!r})",
                )
            return
        owner = self.private.get(head)
        if owner is None:
            self.private[head] = int(lane)
        elif owner != lane:
            raise CheckFailed(
                self.name,
                f"{cpu!r} edits the list on the stack of another CPU, with {item!r} on it",
            )
