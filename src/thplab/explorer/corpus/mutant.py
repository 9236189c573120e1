# SPDX-License-Identifier: GPL-2.0-only
"""Designs that differ in a part: their list_lru, or what the machine calls them from."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from thplab.designs import DeferredSplitQueue
from thplab.designs.list_lru import DEFERRED_SPLIT_KEY, ListLruQueue
from thplab.explorer.cases.machine_world import Design
from thplab.mm.list_lru import ListLru
from thplab.mm.machine import Machine

__all__ = ["QueueWithLru", "with_parts"]


class QueueWithLru(ListLruQueue):
    """The merged design on another list_lru."""

    kind: ClassVar[type[ListLru]]

    def make_lru(self) -> ListLru:
        """The THP lru."""
        return self.kind(self.machine, True, self, DEFERRED_SPLIT_KEY)


def with_parts(queue: type[DeferredSplitQueue], **parts: Callable[[Machine], object]) -> Design:
    """The design on a machine of which some parts, named as its attributes, are of other classes."""

    def design(machine: Machine) -> DeferredSplitQueue:
        made = queue(machine)
        for name, part in parts.items():
            setattr(machine, name, part(machine))
        return made

    return design
