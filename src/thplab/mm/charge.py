# SPDX-License-Identifier: GPL-2.0-only
"""Charging memory to cgroups, and what happens at their limits (mm/memcontrol.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import H
from thplab.cpu.ops import CHARGE, READ
from thplab.mm.gfp import GFP_DIRECT_RECLAIM, GFP_NORETRY
from thplab.mm.memcontrol import MemCgroup, ObjCgroup
from thplab.mm.mm_types import Folio, MmStruct
from thplab.mm.page_counter import PageCounter

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["MAX_RECLAIM_RETRIES", "Charges"]

MAX_RECLAIM_RETRIES: Final[i64] = 16
MEMCG_CHARGE_BATCH: Final[i64] = 64
COSTLY_NR_PAGES: Final[i64] = 8  # 1 << PAGE_ALLOC_COSTLY_ORDER


@mypyc_attr(allow_interpreted_subclasses=True)
class Charges:
    """Charging for one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine

    def try_charge(self, memcg: MemCgroup, nr_pages: i64, gfp: i64, mm: MmStruct | None) -> bool:
        """try_charge_memcg(): reclaim at the limit; then, if the caller can wait, an OOM kill.

        Args:
            nr_pages: base pages.
            gfp: whether it may reclaim (GFP_DIRECT_RECLAIM), whether only once (GFP_NORETRY).
            mm: whose memory it is; its charge fails for good once its task is killed.
        """
        machine = self.machine
        if machine.memcg.disabled:
            return True
        retries = MAX_RECLAIM_RETRIES
        while True:
            if H.on:
                H.watcher.point(CHARGE, memcg)
            over = memcg.memory.try_charge(nr_pages)
            if over is None:
                break
            limited = self.owner_of(memcg, over)
            if not gfp & GFP_DIRECT_RECLAIM:
                return False
            if mm is not None and mm.killed:
                return False
            self.count_event(limited, "max")
            reclaimed = machine.vmscan.try_to_free_mem_cgroup_pages(limited, nr_pages)
            if limited.memory.margin() >= nr_pages:
                continue
            if gfp & GFP_NORETRY:
                return False
            if reclaimed and nr_pages <= COSTLY_NR_PAGES:
                continue
            if retries > 0:
                retries -= 1
                continue
            # mem_cgroup_oom(): no task is killed for the charge of a huge page; the fault falls back.
            if nr_pages > COSTLY_NR_PAGES:
                return False
            if not machine.oom.mem_cgroup_out_of_memory(limited):
                return False
            retries = MAX_RECLAIM_RETRIES
        if gfp & GFP_DIRECT_RECLAIM:
            self._reclaim_high(memcg, nr_pages)
        return True

    def owner_of(self, memcg: MemCgroup, counter: PageCounter) -> MemCgroup:
        """mem_cgroup_from_counter() (include/linux/memcontrol.h): the cgroup at or above `memcg` that has this counter."""
        position: MemCgroup | None = memcg
        while position is not None:
            if position.memory is counter:
                return position
            position = position.parent
        raise AssertionError("the counter belongs to no ancestor")

    def _reclaim_high(self, memcg: MemCgroup, nr_pages: i64) -> None:
        """reclaim_high(): each cgroup that is over memory.high gives back what was just charged."""
        position: MemCgroup | None = memcg
        while position is not None:
            if position.memory.usage > position.memory.high:
                self.count_event(position, "high")
                self.machine.vmscan.try_to_free_mem_cgroup_pages(
                    position, max(nr_pages, MEMCG_CHARGE_BATCH)
                )
            position = position.parent

    def count_event(self, memcg: MemCgroup, event: str) -> None:
        """memcg_memory_event() (include/linux/memcontrol.h): a line of memory.events, in each ancestor too."""
        position: MemCgroup | None = memcg
        while position is not None:
            position.events[event] = position.events.get(event, 0) + 1
            position = position.parent

    def charge_folio(self, folio: Folio, memcg: MemCgroup, gfp: i64, mm: MmStruct | None) -> bool:
        """charge_memcg(): False if there is no room and none could be made."""
        if self.machine.memcg.disabled:
            return True
        if not self.try_charge(memcg, folio.nr_pages, gfp, mm):
            return False
        folio.objcg = self.get_obj_cgroup(memcg)
        return True

    def get_obj_cgroup(self, memcg: MemCgroup) -> ObjCgroup:
        """get_obj_cgroup_from_memcg(): with a reference; of an ancestor once the cgroup has gone offline."""
        while not memcg.objcg.try_get():
            parent = memcg.parent
            assert parent is not None, "the root never goes offline"
            memcg = parent
        return memcg.objcg

    def get_mem_cgroup_from_folio(self, folio: Folio) -> MemCgroup:
        """get_mem_cgroup_from_folio(): the folio's cgroup with a reference; the root if uncharged."""
        rcu = self.machine.rcu
        while True:
            rcu.read_lock()
            objcg = folio.objcg
            if H.on and objcg is not None:
                H.watcher.point(READ, objcg)
            memcg = self.machine.memcg.root if objcg is None else objcg.memcg
            got = memcg.css_tryget()
            rcu.read_unlock()
            if got:
                return memcg

    def uncharge_folio(self, folio: Folio) -> None:
        """__mem_cgroup_uncharge(): after this the folio's list can no longer be found through it."""
        objcg = folio.objcg
        if objcg is None:
            return
        folio.objcg = None
        self.uncharge_pages(objcg, folio.nr_pages)
        self.machine.memcg.put_objcg(objcg)

    def uncharge_pages(self, objcg: ObjCgroup, nr_pages: i64) -> None:
        """uncharge_batch(): the page counters; not the reference."""
        if self.machine.memcg.disabled:
            return
        if H.on:
            H.watcher.point(CHARGE, objcg)
        # Whose it is by now: what a cgroup that went offline was charged is its parent's.
        objcg.memcg.memory.uncharge(nr_pages)
