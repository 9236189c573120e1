# SPDX-License-Identifier: GPL-2.0-only
"""Reclaim: priorities, nodes, cgroups, and the shrinkers that are asked on the way (mm/vmscan.c, 7.2).

There is no swap here, and there are no file pages but those of a kernel beside which the model stands: what
reclaim can free is what shrinkers free. A
split gives memory back but does not count as reclaimed, as on a real kernel; the allocator sees
the free memory when it looks again. A shrinker whose objects lie in pages of their own says with
:meth:`Vmscan.mm_account_reclaimed_pages` how many of those went.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import H, warn_once
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrinker import DEF_PRIORITY, SOFT_LOCKUP
from thplab.mm.vmstat import (
    ALLOCSTALL_NORMAL,
    PAGEOUTRUN,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["MAX_RECLAIM_RETRIES", "SWAP_CLUSTER_MAX", "ReclaimState", "ScanControl", "Vmscan"]

SWAP_CLUSTER_MAX: Final[i64] = 32
MAX_RECLAIM_RETRIES: Final[i64] = 16


class ReclaimState:
    """struct reclaim_state: base pages that one reclaim has freed in other ways than from LRU lists."""

    def __init__(self) -> None:
        self.reclaimed: i64 = 0


class ScanControl:
    """struct scan_control: what one reclaim is for.

    Attributes:
        target: the cgroup at whose limit, or on whose request, it runs; None: the whole machine.
        nr_to_reclaim, nr_reclaimed: base pages.
        memcg_low_reclaim: memory.low is no protection any more.
        memcg_low_skipped: some cgroup was spared because of its memory.low.
        memcg_full_walk: everything was tried once, and nothing was reclaimed.
        kswapd: kswapd runs it, not a task.
        reclaim_state: what shrinkers have freed and nr_reclaimed does not have yet.
    """

    def __init__(self, target: MemCgroup | None, nr_to_reclaim: i64, kswapd: bool = False) -> None:
        self.target: MemCgroup | None = target
        self.kswapd: bool = kswapd
        self.nr_to_reclaim: i64 = nr_to_reclaim
        self.nr_reclaimed: i64 = 0
        self.priority: i64 = DEF_PRIORITY
        self.memcg_low_reclaim: bool = False
        self.memcg_low_skipped: bool = False
        self.memcg_full_walk: bool = False
        self.reclaim_state: ReclaimState = ReclaimState()


@mypyc_attr(allow_interpreted_subclasses=True)
class Vmscan:
    """Reclaim of one machine, with the multi-generational LRU.

    Attributes:
        repeats_fully: direct reclaim that reclaimed nothing tries all priorities once more (6.9).
        direct_protects: direct reclaim of the whole machine computes who is protected. Before 7.3 only
            kswapd did, so that direct reclaim went by what kswapd had last found.
        hopeless_until_balanced: progress revives a kswapd that had given up only if the node is balanced;
            before, any progress did.
        min_unmapped_ratio, min_slab_ratio: vm.min_unmapped_ratio and vm.min_slab_ratio, percent of a node.
        stops_for_dying: a writer of memory.reclaim, memory.high or memory.max reclaims no more once its cgroup is
            being removed (7.3).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.repeats_fully: bool = True
        self.direct_protects: bool = True
        self.hopeless_until_balanced: bool = True
        self.min_unmapped_ratio: i64 = 1
        self.min_slab_ratio: i64 = 5
        self.stops_for_dying: bool = True
        # current->reclaim_state, by the number of the CPU that reclaims.
        self.reclaim_states: dict[int, ReclaimState] = {}

    # What is freed outside of LRU lists

    def set_task_reclaim_state(self, state: ReclaimState | None) -> None:
        """set_task_reclaim_state(): a reclaim begins on this CPU, or (None) it ends."""
        number = int(H.cpu.number)
        if state is None:
            del self.reclaim_states[number]
            return
        if number in self.reclaim_states:
            warn_once("WARNING: set_task_reclaim_state(): a reclaim began inside a reclaim")
        self.reclaim_states[number] = state

    def mm_account_reclaimed_pages(self, pages: i64) -> None:
        """mm_account_reclaimed_pages() (include/linux/swap.h): a shrinker's objects are gone, and with them
        base pages of their own.

        The kernel's slab allocator calls it when it frees a page; here a shrinker's scan_objects() does. Outside
        of reclaim it does nothing.
        """
        state = self.reclaim_states.get(int(H.cpu.number))
        if state is not None:
            state.reclaimed += pages

    def flush_reclaim_state(self, sc: ScanControl) -> None:
        """flush_reclaim_state(): such pages are progress for reclaim of the whole machine, or of the root.

        For any other cgroup they are not, since 6.4: nobody knows whose the other objects of a
        page were. So memory.reclaim of a cgroup says -EAGAIN when nothing but slab was freed.
        """
        if sc.target is None or sc.target is self.machine.memcg.root:
            sc.nr_reclaimed += sc.reclaim_state.reclaimed
            sc.reclaim_state.reclaimed = 0

    # One node

    def shrink_node(self, nid: i64, sc: ScanControl) -> None:
        """shrink_node(): one round of reclaim on a node; progress may revive a kswapd that had given up."""
        before = sc.nr_reclaimed
        self._shrink_node_memcgs(nid, sc)
        self._shrink_files(nid, sc)
        self.flush_reclaim_state(sc)
        if sc.nr_reclaimed != before:
            # kswapd_try_clear_hopeless()
            node = self.machine.pages.nodes[nid]
            if node.free >= node.wmark_high or not self.hopeless_until_balanced:
                node.kswapd_failures = 0

    def _shrink_files(self, nid: i64, sc: ScanControl) -> None:
        """get_scan_count(): the part of the files that this priority looks at; all of them are clean and nobody's
        but the root's.
        """
        node = self.machine.pages.nodes[nid]
        if node.files and sc.target is None:
            got = node.files >> sc.priority
            node.files -= got
            node.give(got)
            sc.nr_reclaimed += got

    def _shrink_node_memcgs(self, nid: i64, sc: ScanControl) -> None:
        """shrink_node_memcgs(): each cgroup below the target gives from this node, unless protected."""
        tree = self.machine.memcg
        shrinkers = self.machine.shrinkers
        if tree.disabled:
            shrinkers.shrink_slab(nid, None, sc.priority)
            return
        target = sc.target if sc.target is not None else tree.root
        for memcg in tree.iterate(target):
            if not tree.next_tryget(memcg):
                continue
            if not self.protected(memcg, target, sc):
                shrinkers.shrink_slab(nid, memcg, sc.priority)
            memcg.css_put()

    def protected(self, memcg: MemCgroup, target: MemCgroup, sc: ScanControl) -> bool:
        """mem_cgroup_below_min(), mem_cgroup_below_low() (include/linux/memcontrol.h): whether reclaim spares
        this cgroup.
        """
        counter = memcg.memory
        tree = self.machine.memcg
        if target is not tree.root or sc.kswapd or self.direct_protects:
            counter.calculate_protection(target.memory, tree.recursiveprot)
        if memcg is target or memcg is tree.root:
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
        return self._accounted(ScanControl(None, SWAP_CLUSTER_MAX), nid, nodemask)

    def try_to_free_mem_cgroup_pages(self, memcg: MemCgroup, nr_pages: i64) -> i64:
        """try_to_free_mem_cgroup_pages(): at a limit, or for memory.reclaim; on every node."""
        sc = ScanControl(memcg, max(nr_pages, SWAP_CLUSTER_MAX))
        return self._accounted(sc, 0, None)

    def _accounted(self, sc: ScanControl, nid: i64, nodemask: list[int] | None) -> i64:
        self.set_task_reclaim_state(sc.reclaim_state)
        reclaimed = self._do_try_to_free_pages(sc, nid, nodemask)
        self.set_task_reclaim_state(None)
        return reclaimed

    def _do_try_to_free_pages(self, sc: ScanControl, nid: i64, nodemask: list[int] | None) -> i64:
        """do_try_to_free_pages(): harder and harder, to priority 0; then once more; at last without regard to
        memory.low.
        """
        zonelist = self.machine.pages.zonelists[nid]
        while True:
            if sc.target is None:
                self.machine.vmstat.count(ALLOCSTALL_NORMAL)
            while sc.priority >= 0:
                for candidate in zonelist:
                    if nodemask is None or candidate in nodemask:
                        self.shrink_node(candidate, sc)
                if sc.nr_reclaimed >= sc.nr_to_reclaim:
                    return sc.nr_reclaimed
                sc.priority -= 1
            if sc.nr_reclaimed:
                return sc.nr_reclaimed
            sc.priority = DEF_PRIORITY
            if self.repeats_fully and not sc.memcg_full_walk:
                sc.memcg_full_walk = True
                continue
            if not sc.memcg_low_skipped:
                return 0
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
        sc = ScanControl(None, max(node.wmark_high, SWAP_CLUSTER_MAX), True)
        self.set_task_reclaim_state(sc.reclaim_state)
        balanced = self._shrink_until_balanced(nid, sc)
        if not balanced and not sc.nr_reclaimed and sc.memcg_low_skipped:
            sc.memcg_low_reclaim = True
            balanced = self._shrink_until_balanced(nid, sc)
        self.set_task_reclaim_state(None)
        if not balanced and not sc.nr_reclaimed:
            node.kswapd_failures += 1

    def _shrink_until_balanced(self, nid: i64, sc: ScanControl) -> bool:
        """Part of balance_pgdat(): its loop over the priorities. Whether the node is balanced."""
        node = self.machine.pages.nodes[nid]
        sc.priority = DEF_PRIORITY
        rounds: i64 = 0
        while sc.priority >= 1:
            if node.free >= node.wmark_high:
                return True
            before = sc.nr_reclaimed
            self.shrink_node(nid, sc)
            # kswapd_shrink_node(): a round that reclaimed enough is repeated at its priority.
            if sc.nr_reclaimed - before < sc.nr_to_reclaim:
                sc.priority -= 1
            rounds += 1
            if rounds == SOFT_LOCKUP:
                raise KernelBug(
                    f"BUG: soft lockup: shrinkers told kswapd{nid} in {SOFT_LOCKUP} rounds that pages "
                    "were reclaimed, and the node has no more free memory for it"
                )
        return False

    # On request

    def stops_for(self, memcg: MemCgroup) -> bool:
        """Whether a writer gives up because of rmdir(2), which waits for it and holds cgroup_mutex meanwhile."""
        return self.stops_for_dying and memcg.css_is_dying()

    def memory_reclaim(self, memcg: MemCgroup, nr_pages: i64) -> bool:
        """A write to memory.reclaim: False is -EAGAIN, not all was reclaimed."""
        return self._user_proactive_reclaim(memcg, 0, nr_pages)

    def node_reclaim(self, nid: i64, nr_pages: i64) -> bool:
        """A write to a node's reclaim file: False is -EAGAIN, not all was reclaimed."""
        return self._user_proactive_reclaim(None, nid, nr_pages)

    def _user_proactive_reclaim(self, memcg: MemCgroup | None, nid: i64, nr_pages: i64) -> bool:
        """user_proactive_reclaim(): a quarter of what is left each time, until all is reclaimed, or
        until it has found nothing for the 17th time.
        """
        reclaimed: i64 = 0
        retries = MAX_RECLAIM_RETRIES
        while reclaimed < nr_pages:
            if memcg is not None and self.stops_for(memcg):
                return False
            batch = (nr_pages - reclaimed) // 4
            if memcg is not None:
                got = self.try_to_free_mem_cgroup_pages(memcg, batch)
            else:
                got = self._node_reclaim(nid, batch)
            if not got:
                if retries == 0:
                    return False
                retries -= 1
            reclaimed += got
        return True

    def _node_reclaim(self, nid: i64, nr_pages: i64) -> i64:
        """__node_reclaim(): one node, harder and harder. Returns base pages reclaimed, splits not counted.

        Only if the node has more clean page cache that no task maps, or more reclaimable slab, than
        vm.min_unmapped_ratio and vm.min_slab_ratio say. The model has neither; it goes by a node that
        has some of both, and less than any ratio but 0.
        """
        if self.min_unmapped_ratio and self.min_slab_ratio:
            return 0
        sc = ScanControl(None, max(nr_pages, SWAP_CLUSTER_MAX))
        self.set_task_reclaim_state(sc.reclaim_state)
        while True:
            self.shrink_node(nid, sc)
            sc.priority -= 1
            if sc.nr_reclaimed >= nr_pages or sc.priority < 0:
                break
        self.set_task_reclaim_state(None)
        return sc.nr_reclaimed
