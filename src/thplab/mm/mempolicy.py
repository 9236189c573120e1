# SPDX-License-Identifier: GPL-2.0-only
"""Where memory may and should come from (mm/mempolicy.c, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

__all__ = ["MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_LOCAL", "MPOL_PREFERRED", "Mempolicy"]

MPOL_LOCAL: Final = "local"
MPOL_BIND: Final = "bind"
MPOL_PREFERRED: Final = "preferred"
MPOL_INTERLEAVE: Final = "interleave"


class Mempolicy:
    """struct mempolicy: a mode and the nodes that it is about.

    Attributes:
        il_prev: the node that interleaving took last, where it goes by allocations and not by place.
    """

    def __init__(self, mode: str, nodes: list[int]) -> None:
        if mode != MPOL_LOCAL and not nodes:
            raise ValueError(f"policy {mode} needs nodes")
        self.mode: str = mode
        self.nodes: list[int] = sorted(nodes)
        self.il_prev: i64 = self.nodes[-1] if self.nodes else 0

    def dup(self) -> Mempolicy:
        """mpol_dup(): a forked task takes turns of its own, from where its parent is."""
        copy = Mempolicy(self.mode, self.nodes)
        copy.il_prev = self.il_prev
        return copy

    def nodemask(self) -> list[int] | None:
        """policy_nodemask(): the only nodes that may be used, or None for any."""
        return self.nodes if self.mode == MPOL_BIND else None

    def preferred_nid(self, here: i64, index: i64) -> i64:
        """policy_nodemask()'s node: where to look first.

        Args:
            here: the node of the task's CPU.
            index: the allocation's place in its region, in units of its own size (interleaving
                goes by it); -1 where the policy is the task's.
        """
        if self.mode == MPOL_PREFERRED:
            return self.nodes[0]
        if self.mode == MPOL_INTERLEAVE:
            if index >= 0:
                return self.nodes[index % len(self.nodes)]
            return self._next_interleaved()
        return here

    def _next_interleaved(self) -> i64:
        """interleave_nodes(): the next node after the last one taken."""
        following = [nid for nid in self.nodes if nid > self.il_prev]
        self.il_prev = following[0] if following else self.nodes[0]
        return self.il_prev
