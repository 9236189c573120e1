# SPDX-License-Identifier: GPL-2.0-only
"""The interface of a design: how huge pages that could be split wait, and how they are found (mm/huge_memory.c, 7.2).

A design is a subclass of :class:`DeferredSplitQueue`. It is the shrinker "thp-deferred_split"
itself: reclaim calls its count_objects() and scan_objects(). docs/designs.md writes one from
nothing; thplab.designs has those of the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import warn_once
from thplab.cpu.list_head import ListHead
from thplab.mm.geometry import HPAGE_PMD_ORDER
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import PG_PARTIALLY_MAPPED, Folio
from thplab.mm.shrinker import (
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
    Shrinker,
)
from thplab.mm.vmstat import (
    MTHP_STAT_NR_ANON_PARTIALLY_MAPPED,
    MTHP_STAT_SPLIT_DEFERRED,
    THP_DEFERRED_SPLIT_PAGE,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["DeferredSplitQueue", "NoQueue", "QueueList"]


class QueueList:
    """One list of a design, as an inspector sees it.

    Attributes:
        head: its head. length: what the design believes that it has.
        nid: the node of its folios; -1: any node.
        memcg: whose it is; None: the root's, or that of no cgroup.
        of_memcg: it is one cgroup's; else it has the folios of all.
        dead: it was handed over to the parent's, and must be empty for ever.
    """

    def __init__(
        self,
        head: ListHead,
        length: i64,
        nid: i64 = -1,
        memcg: MemCgroup | None = None,
        of_memcg: bool = True,
        dead: bool = False,
    ) -> None:
        self.head: ListHead = head
        self.length: i64 = length
        self.nid: i64 = nid
        self.memcg: MemCgroup | None = memcg
        self.of_memcg: bool = of_memcg
        self.dead: bool = dead


@mypyc_attr(allow_interpreted_subclasses=True)
class DeferredSplitQueue(Shrinker):
    """The deferred split queue of one machine.

    What a design can rely on: `enqueue` and `unqueue` may be called with interrupts off and inside
    spin locks, so they may not sleep. A folio is an entry of at most one list (it inherits
    ListHead). `unqueue` is called with a reference count of 0, `freeze` and the scan's split with
    the folio locked.

    Args:
        machine: whose queue it is.
        flags: of the shrinker.

    Attributes:
        since, until: the first and the last release that has the design; "" where there is none.
        collapse_says_charge: a collapse reports a failing prepare() as a charge that failed, not as an allocation.
        reparents_lru_folios: whether the design allows that a folio's cgroup becomes the parent when its cgroup
            goes offline; else folio_memcg() goes on to be the dead one, as in all releases until 7.0.
    """

    since: ClassVar[str] = ""
    until: ClassVar[str] = ""
    collapse_says_charge: ClassVar[bool] = False
    reparents_lru_folios: bool

    @classmethod
    def releases(cls) -> str:
        """The releases that have the design, in words."""
        if not cls.since:
            return "no release"
        return f"{cls.since} to {cls.until}" if cls.until else f"{cls.since} and later"

    def __init__(
        self, machine: Machine, flags: i64 = SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE
    ) -> None:
        super().__init__("thp-deferred_split", flags)
        self.machine: Machine = machine
        self.reparents_lru_folios = True

    def start(self) -> None:
        """thp_shrinker_init(): the shrinker becomes known, so that reclaim calls it."""
        self.machine.shrinkers.alloc(self)
        self.machine.shrinkers.register(self)

    def stop(self) -> None:
        """thp_shrinker_exit(): the shrinker goes; then what it used can."""
        self.machine.shrinkers.free(self)

    def prepare(self, folio: Folio) -> bool:
        """A large anonymous folio was allocated and charged; make sure that it can be queued later.

        Called in process context, may sleep. False (no memory) makes the allocation fail
        (folio_memcg_alloc_deferred(), 7.2).
        """
        return True

    def enqueue(self, folio: Folio, partially_mapped: bool) -> None:
        """deferred_split_folio(): queue the folio unless it is queued already. Its guards come before.

        Under the queue's lock, with `partially_mapped` call :meth:`note_partially_mapped`. Set the
        shrinker bit (machine.shrinkers.set_shrinker_bit) when reclaim has something to find.
        """
        raise NotImplementedError

    def unqueue(self, folio: Folio) -> bool:
        """__folio_unqueue_deferred_split(): take it off if it is queued; whether it was.

        The reference count is 0 and the folio is still charged (see :meth:`check_unqueue`).
        Clear the flag with :meth:`forget_partially_mapped`.
        """
        raise NotImplementedError

    def count_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_count(): folios queued for (sc.nid, sc.memcg), as the design knows them."""
        raise NotImplementedError

    def scan_objects(self, sc: ShrinkControl) -> int:
        """deferred_split_scan(): visit up to sc.nr_to_scan folios and split what can be.

        Take a reference (folio.try_get()) before a lock is dropped; then for each
        machine.huge_memory.split_queued(folio), which returns whether it was split; requeue it if
        it was not and is still partially mapped; put it. Returns the number split, or SHRINK_STOP.
        """
        raise NotImplementedError

    def freeze(self, folio: Folio, expected: i64) -> bool:
        """Part of __folio_freeze_and_split_unmapped(): freeze the references at `expected` and unqueue.

        The queue's lock is held over both, so that a scanner does not take a count of 0 for a
        final put. If there are more references: False, and the folio stays queued.
        """
        raise NotImplementedError

    def reparent(self, memcg: MemCgroup, parent: MemCgroup) -> None:
        """The cgroup goes offline: hand its queue to the parent, if the design does that.

        List_lrus have been reparented already, by memcg_reparent_list_lrus().
        """

    def lists(self) -> list[QueueList] | None:
        """All lists of the design, for inspection; None: it does not show them.

        thplab.mm.invariants checks with them that each queued folio is where it belongs.
        """
        return None

    def release(self) -> None:
        """Unlink everything from lists of the design's own, without any check: the machine goes."""

    # What designs share

    def note_partially_mapped(self, folio: Folio, partially_mapped: bool) -> None:
        """Part of deferred_split_folio(): the flag, its counters, and the rule that a flagged folio is never queued as whole."""
        if partially_mapped:
            if not folio.test_partially_mapped():
                self.folio_set_partially_mapped(folio)
                vmstat = self.machine.vmstat
                if folio.order == HPAGE_PMD_ORDER:
                    vmstat.count(THP_DEFERRED_SPLIT_PAGE)
                vmstat.mod_mthp(folio.order, MTHP_STAT_SPLIT_DEFERRED, 1)
                vmstat.mod_mthp(folio.order, MTHP_STAT_NR_ANON_PARTIALLY_MAPPED, 1)
        elif folio.test_partially_mapped():
            warn_once(
                "WARNING: deferred_split_folio(): partially mapped folio queued as entirely mapped"
            )

    def folio_set_partially_mapped(self, folio: Folio) -> None:
        """folio_set_partially_mapped() (include/linux/page-flags.h): atomic, because others change flags in
        the same word (42b2eb69835b).
        """
        folio.set_flag(PG_PARTIALLY_MAPPED)

    def forget_partially_mapped(self, folio: Folio) -> None:
        """Part of __folio_unqueue_deferred_split(): clear the flag, and count it, if it is set. Under the
        queue's lock, or with the count frozen.
        """
        if folio.test_partially_mapped():
            folio.clear_flag(PG_PARTIALLY_MAPPED)
            self.machine.vmstat.mod_mthp(folio.order, MTHP_STAT_NR_ANON_PARTIALLY_MAPPED, -1)

    def check_unqueue(self, folio: Folio) -> None:
        """Part of __folio_unqueue_deferred_split(): its WARN_ONs. No CPU may hold a reference, and the
        folio's cgroup must be known.
        """
        if folio.ref_count():
            warn_once("WARNING: folio_unqueue_deferred_split(): the reference count is not 0")
        if folio.objcg is None and not self.machine.memcg.disabled:
            warn_once("WARNING: folio_unqueue_deferred_split(): the folio is not charged any more")


class NoQueue(DeferredSplitQueue):
    """No deferred split queue: for a machine that is only about something else."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)

    def start(self) -> None:
        """No shrinker either."""

    def enqueue(self, folio: Folio, partially_mapped: bool) -> None:
        """Nothing is queued."""

    def unqueue(self, folio: Folio) -> bool:
        """Nothing was."""
        return False

    def count_objects(self, sc: ShrinkControl) -> int:
        """Nothing is there."""
        return 0

    def scan_objects(self, sc: ShrinkControl) -> int:
        """Nothing to scan."""
        return 0

    def freeze(self, folio: Folio, expected: i64) -> bool:
        """Freeze the references; there is no queue to take it from."""
        return folio.ref_freeze(expected)
