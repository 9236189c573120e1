# SPDX-License-Identifier: GPL-2.0-only
"""Where memory may and should come from (mm/mempolicy.c, 7.3)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

__all__ = [
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
    "Mempolicy",
]

MPOL_LOCAL: Final = "local"
MPOL_BIND: Final = "bind"
MPOL_PREFERRED: Final = "preferred"
MPOL_PREFERRED_MANY: Final = "preferred_many"
MPOL_INTERLEAVE: Final = "interleave"
MPOL_WEIGHTED_INTERLEAVE: Final = "weighted_interleave"


class Mempolicy:
    """struct mempolicy: a mode and the nodes that it is about."""

    def __init__(self, mode: str, nodes: list[int]) -> None:
        if mode != MPOL_LOCAL and not nodes:
            raise ValueError(f"policy {mode} needs nodes")
        self.mode: str = mode
        self.nodes: list[int] = sorted(nodes)
        self.interleaves: bool = mode in (MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE)

    def nodemask(self) -> list[int] | None:
        """Part of policy_nodemask(): the only nodes that may be used, or None for any.

        With MPOL_PREFERRED_MANY they are those of the first attempt (alloc_pages_preferred_many()).
        """
        return self.nodes if self.mode in (MPOL_BIND, MPOL_PREFERRED_MANY) else None

    def preferred_nid(self, here: i64, index: i64, weights: list[int]) -> i64:
        """Part of policy_nodemask(): where to look first.

        Args:
            here: the node of the task's CPU.
            index: the allocation's place in its region, in units of its own size. Interleaving goes by it,
                be the policy the region's or the task's (get_vma_policy()); the region begins at a
                multiple of all weights together, which an address from mmap(2) need not do.
            weights: of each node of the machine, for weighted interleaving.
        """
        if self.mode == MPOL_PREFERRED:
            return self.nodes[0]
        if self.mode == MPOL_INTERLEAVE:
            return self.nodes[index % len(self.nodes)]
        if self.mode == MPOL_WEIGHTED_INTERLEAVE:
            return self._weighted_interleave_nid(index, weights)
        return here

    def _weighted_interleave_nid(self, index: i64, weights: list[int]) -> i64:
        """weighted_interleave_nid(): each node in turn, as often as its weight says."""
        total: i64 = 0
        for nid in self.nodes:
            total += weights[nid]
        target = index % total
        for nid in self.nodes:
            if target < weights[nid]:
                return nid
            target -= weights[nid]
        raise AssertionError("the rest of a division by a sum is smaller than the sum")
