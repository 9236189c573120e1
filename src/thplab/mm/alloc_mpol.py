# SPDX-License-Identifier: GPL-2.0-only
"""The memory of a fault, by the policy of its region or task (mm/mempolicy.c, 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64

from thplab.mm.geometry import HPAGE_PMD_NR, HPAGE_PMD_ORDER
from thplab.mm.gfp import (
    GFP_DIRECT_RECLAIM,
    GFP_KSWAPD_RECLAIM,
    GFP_NORETRY,
    GFP_THISNODE,
)
from thplab.mm.mempolicy import MPOL_PREFERRED_MANY, Mempolicy
from thplab.mm.mm_types import Task, Vma
from thplab.mm.vma import piece_at

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["PolicyAllocator"]


class PolicyAllocator:
    """Allocations for faults on one machine.

    Attributes:
        weights: of each node, for weighted interleaving (/sys/kernel/mm/mempolicy/weighted_interleave).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.weights: list[int] = [1] * int(machine.nr_nodes)

    def get_vma_policy(self, task: Task, vma: Vma) -> Mempolicy | None:
        """get_vma_policy(): the region's, else the task's, else None (local)."""
        return task.policy if vma.policy is None else vma.policy

    def huge_index(self, vma: Vma, slot: i64) -> i64:
        """Part of get_vma_policy(): the index by which a huge page interleaves.

        The kernel rounds the place where the VMA begins and the way from there each for itself, so that
        in a VMA that begins in the middle of a slot each index is one lower.
        """
        if not vma.anon_vma.cut:
            return slot
        first: i64 = vma.pieces[piece_at(vma, slot * HPAGE_PMD_NR)].first
        return first // HPAGE_PMD_NR + (slot * HPAGE_PMD_NR - first) // HPAGE_PMD_NR

    def alloc_huge(self, task: Task, vma: Vma, slot: i64, gfp: i64) -> i64:
        """alloc_pages_mpol(): of a huge page for a fault. Its node, or -1.

        Unless the policy interleaves, or is bound to other nodes than the one where the allocation begins, the
        kernel tries that node alone, without reclaim; what may not reclaim ends there. So a huge page
        goes to another node only if the fault may reclaim.
        """
        pages = self.machine.pages
        policy = self.get_vma_policy(task, vma)
        nid = task.cpu_nid
        nodemask: list[int] | None = None
        interleaves = False
        if policy is not None:
            nid = policy.preferred_nid(nid, self.huge_index(vma, slot), self.weights)
            nodemask = policy.nodemask()
            if policy.mode == MPOL_PREFERRED_MANY:
                found = pages.alloc_huge(HPAGE_PMD_ORDER, nid, nodemask, gfp & ~GFP_DIRECT_RECLAIM)
                if found >= 0:
                    return found
                return pages.alloc_huge(HPAGE_PMD_ORDER, nid, None, gfp)
            interleaves = policy.interleaves
        if not interleaves and (nodemask is None or nid in nodemask):
            found = pages.alloc_huge(HPAGE_PMD_ORDER, nid, None, gfp | GFP_THISNODE | GFP_NORETRY)
            if found >= 0 or not gfp & GFP_DIRECT_RECLAIM:
                return found
        return pages.alloc_huge(HPAGE_PMD_ORDER, nid, nodemask, gfp)

    def alloc_own(self, task: Task) -> None:
        """alloc_pages_mpol(): of a page of the process itself, or of the kernel for it, by the task's policy.
        It comes back at once, but it may have woken kswapd.
        """
        pages = self.machine.pages
        policy = task.policy
        nid = task.cpu_nid
        if policy is not None:
            nid = policy.preferred_nid(nid, 0, self.weights)
        nodemask = None if policy is None else policy.nodemask()
        found, count = pages.alloc_base(nid, nodemask, 1, GFP_KSWAPD_RECLAIM, None)
        if count:
            pages.nodes[found].give(1)

    def alloc_base(self, task: Task, vma: Vma, nid: i64, count: i64, gfp: i64) -> tuple[i64, i64]:
        """alloc_pages_mpol(): of up to `count` base pages for a fault, looking on `nid` first.

        Returns:
            (node, how many); (-1, 0) if there is none, as of PageAllocator.alloc_base().
        """
        pages = self.machine.pages
        policy = self.get_vma_policy(task, vma)
        nodemask = None if policy is None else policy.nodemask()
        if policy is not None and policy.mode == MPOL_PREFERRED_MANY:
            taken = pages.alloc_base(nid, nodemask, count, gfp & ~GFP_DIRECT_RECLAIM, vma.mm)
            if taken[1]:
                return taken
            nodemask = None
        return pages.alloc_base(nid, nodemask, count, gfp, vma.mm)
