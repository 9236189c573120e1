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
    """struct mempolicy: a mode and the nodes that it is about."""

    def __init__(self, mode: str, nodes: list[int]) -> None:
        if mode != MPOL_LOCAL and not nodes:
            raise ValueError(f"policy {mode} needs nodes")
        self.mode: str = mode
        self.nodes: list[int] = sorted(nodes)

    def nodemask(self) -> list[int] | None:
        """policy_nodemask(): the only nodes that may be used, or None for any."""
        return self.nodes if self.mode == MPOL_BIND else None

    def preferred_nid(self, here: i64, index: i64) -> i64:
        """Part of policy_nodemask(): where to look first.

        Args:
            here: the node of the task's CPU.
            index: the allocation's place in its region, in units of its own size. Interleaving goes by it,
                be the policy the region's or the task's (get_vma_policy()); the region begins at a
                multiple of all nodes, which an address from mmap(2) need not do.
        """
        if self.mode == MPOL_PREFERRED:
            return self.nodes[0]
        if self.mode == MPOL_INTERLEAVE:
            return self.nodes[index % len(self.nodes)]
        return here
