# SPDX-License-Identifier: GPL-2.0-only
"""Reclaim: priorities, nodes, cgroups, and the shrinkers that are asked on the way (mm/vmscan.c, 7.2).

There is no swap and there are no file pages here: what reclaim can free is what shrinkers free. A
split gives memory back but does not count as reclaimed, as on a real kernel; the allocator sees
the free memory when it looks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import DEF_PRIORITY
from thplab.mm.vmstat import (
    PAGEOUTRUN,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["MAX_RECLAIM_RETRIES", "SWAP_CLUSTER_MAX", "ScanControl", "Vmscan"]

SWAP_CLUSTER_MAX: Final[i64] = 32
MAX_RECLAIM_RETRIES: Final[i64] = 16


class ScanControl:
    """struct scan_control: what one reclaim is for.

    Attributes:
        target: the cgroup at whose limit, or on whose request, it runs; None: the whole machine.
        nr_to_reclaim, nr_reclaimed: base pages.
        memcg_low_reclaim: memory.low is no protection any more.
        memcg_low_skipped: some cgroup was spared for its memory.low.
    """

    def __init__(self, target: MemCgroup | None, nr_to_reclaim: i64) -> None:
        self.target: MemCgroup | None = target
        self.nr_to_reclaim: i64 = nr_to_reclaim
        self.nr_reclaimed: i64 = 0
        self.priority: i64 = DEF_PRIORITY
        self.memcg_low_reclaim: bool = False
        self.memcg_low_skipped: bool = False


@mypyc_attr(allow_interpreted_subclasses=True)
class Vmscan:
    """Reclaim of one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine

    def shrink_node(self, nid: i64, sc: ScanControl) -> None:
        """shrink_node_memcgs(): each cgroup below the target gives from this node, unless protected."""
        tree = self.machine.memcg
        shrinkers = self.machine.shrinkers
        if tree.disabled:
            shrinkers.shrink_slab(nid, None, sc.priority)
            return
        target = sc.target if sc.target is not None else tree.root
        for memcg in tree.iterate(target):
            # mem_cgroup_iter(): the cgroup at hand is referenced; one that is gone by now is passed over.
            if not memcg.css_tryget():
                continue
            if not self.protected(memcg, target, sc):
                shrinkers.shrink_slab(nid, memcg, sc.priority)
            memcg.css_put()

    def protected(self, memcg: MemCgroup, target: MemCgroup, sc: ScanControl) -> bool:
        """mem_cgroup_below_min(), _low(): whether reclaim spares this cgroup."""
        counter = memcg.memory
        counter.calculate_protection(target.memory)
        if memcg is target or memcg is self.machine.memcg.root:
            return False
        if counter.emin >= counter.usage:
            return True
        if counter.elow >= counter.usage:
            if not sc.memcg_low_reclaim:
                sc.memcg_low_skipped = True
                return True
            self.machine.charges.count_event(memcg, "low")
        return False

    # Direct reclaim

    def try_to_free_pages(self, nid: i64, nodemask: list[int] | None) -> i64:
        """try_to_free_pages(): for an allocation that found nothing, on the nodes it may use.

        Returns:
            Base pages reclaimed, splits not counted.
        """
        return self._do_try_to_free_pages(ScanControl(None, SWAP_CLUSTER_MAX), nid, nodemask)

    def try_to_free_mem_cgroup_pages(
        self, memcg: MemCgroup, nr_pages: i64, gfp: i64, proactive: bool
    ) -> i64:
        """try_to_free_mem_cgroup_pages(): at a limit, or for memory.reclaim; on every node."""
        sc = ScanControl(memcg, max(nr_pages, SWAP_CLUSTER_MAX))
        return self._do_try_to_free_pages(sc, 0, None)

    def _do_try_to_free_pages(self, sc: ScanControl, nid: i64, nodemask: list[int] | None) -> i64:
        """do_try_to_free_pages(): harder and harder, to priority 0; at last without regard to memory.low."""
        zonelist = self.machine.pages.zonelists[nid]
        while True:
            while sc.priority >= 0:
                for candidate in zonelist:
                    if nodemask is None or candidate in nodemask:
                        self.shrink_node(candidate, sc)
                if sc.nr_reclaimed >= sc.nr_to_reclaim:
                    return sc.nr_reclaimed
                sc.priority -= 1
            if sc.nr_reclaimed or not sc.memcg_low_skipped:
                return sc.nr_reclaimed
            sc.priority = DEF_PRIORITY
            sc.memcg_low_reclaim = True
            sc.memcg_low_skipped = False

    # kswapd

    def wakeup_kswapd(self, nid: i64) -> None:
        """wakeup_kswapd(): it runs at once, until the node is balanced or it has tried everything."""
        node = self.machine.pages.nodes[nid]
        if node.kswapd_failures >= MAX_RECLAIM_RETRIES or node.free >= node.wmark_high:
            return
        self._balance_pgdat(nid)

    def _balance_pgdat(self, nid: i64) -> None:
        """balance_pgdat(): down to priority 1, never 0; memory.low is broken only in a second round."""
        node = self.machine.pages.nodes[nid]
        self.machine.vmstat.count(PAGEOUTRUN)
        sc = ScanControl(None, max(node.wmark_high, SWAP_CLUSTER_MAX))
        while True:
            while sc.priority >= 1:
                if node.free >= node.wmark_high:
                    return
                self.shrink_node(nid, sc)
                sc.priority -= 1
            if sc.nr_reclaimed or not sc.memcg_low_skipped or sc.memcg_low_reclaim:
                break
            sc.priority = DEF_PRIORITY
            sc.memcg_low_reclaim = True
            sc.memcg_low_skipped = False
        if not sc.nr_reclaimed:
            node.kswapd_failures += 1

    # On request

    def memory_reclaim(self, memcg: MemCgroup, nr_pages: i64) -> bool:
        """A write to memory.reclaim (user_proactive_reclaim()): False is -EAGAIN, not all was reclaimed."""
        reclaimed: i64 = 0
        retries = MAX_RECLAIM_RETRIES
        while reclaimed < nr_pages:
            got = self.try_to_free_mem_cgroup_pages(memcg, nr_pages - reclaimed, 0, True)
            if not got:
                if retries == 0:
                    return False
                retries -= 1
            reclaimed += got
        return True

    def node_reclaim(self, nid: i64, nr_pages: i64) -> bool:
        """A write to a node's reclaim file: False is -EAGAIN (user_proactive_reclaim(), __node_reclaim())."""
        reclaimed: i64 = 0
        retries = MAX_RECLAIM_RETRIES
        while reclaimed < nr_pages:
            sc = ScanControl(None, max(nr_pages - reclaimed, SWAP_CLUSTER_MAX))
            while sc.priority >= 0 and sc.nr_reclaimed < sc.nr_to_reclaim:
                self.shrink_node(nid, sc)
                sc.priority -= 1
            if not sc.nr_reclaimed:
                if retries == 0:
                    return False
                retries -= 1
            reclaimed += sc.nr_reclaimed
        return True
