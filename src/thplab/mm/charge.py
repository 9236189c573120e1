# SPDX-License-Identifier: GPL-2.0-only
"""Charging memory to cgroups, and what happens at their limits (mm/memcontrol.c, 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.hook import H, warn_once
from thplab.cpu.ops import CHARGE
from thplab.mm.gfp import GFP_DIRECT_RECLAIM, GFP_NORETRY
from thplab.mm.memcontrol import MemCgroup, ObjCgroup
from thplab.mm.mm_types import Folio, MmStruct, obj_cgroup_memcg
from thplab.mm.page_counter import MEMCG_CHARGE_BATCH, PageCounter
from thplab.mm.vmscan import MAX_RECLAIM_RETRIES, SWAP_CLUSTER_MAX

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Charges"]

COSTLY_NR_PAGES: Final[i64] = 8  # 1 << PAGE_ALLOC_COSTLY_ORDER
# Plain numbers, because a product of them needs 64 bits without a sign.
HZ: Final = 250
MEMCG_DELAY_PRECISION_SHIFT: Final = 20
MEMCG_DELAY_SCALING_SHIFT: Final = 14
U64: Final = (1 << 64) - 1


@mypyc_attr(allow_interpreted_subclasses=True)
class Charges:
    """Charging for one machine.

    Attributes:
        counts_refused: memory.events counts in `max` also a charge that was refused at once because it
            must not wait for reclaim (7.3).
        stock_empty: no fault finds a page that its CPU has charged in advance (consume_stock()) for the page table
            that goes with a huge page; else each does, because the model has no stock.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.counts_refused: bool = True
        self.stock_empty: bool = False

    def try_charge(self, memcg: MemCgroup, nr_pages: i64, gfp: i64, mm: MmStruct | None) -> bool:
        """try_charge_memcg(): reclaim at the limit; then, if the caller can wait, an OOM kill.

        A charge that takes a cgroup over memory.high succeeds. The task reclaims later for it: on its way
        back to user space, or at the end of this charge if that may wait and enough has come together.

        Args:
            nr_pages: base pages.
            gfp: whether it may reclaim (GFP_DIRECT_RECLAIM), whether only once (GFP_NORETRY).
            mm: that of the task that charges, which is charged nothing more once it is killed. None: a
                thread of the kernel, which never returns to user space.
        """
        machine = self.machine
        if machine.memcg.disabled or memcg is machine.memcg.root:
            return True
        retries = MAX_RECLAIM_RETRIES
        drained = False
        raised_max_event = False
        while True:
            if H.on:
                H.watcher.point(CHARGE, memcg)
            over = memcg.memory.try_charge(nr_pages)
            if over is None:
                break
            limited = self.owner_of(memcg, over)
            if not gfp & GFP_DIRECT_RECLAIM or (mm is not None and mm.killed):
                if self.counts_refused and not raised_max_event:
                    self.count_event(limited, "max")
                return False
            self.count_event(limited, "max")
            raised_max_event = True
            reclaimed = machine.vmscan.try_to_free_mem_cgroup_pages(limited, nr_pages)
            if limited.memory.margin() >= nr_pages:
                continue
            if not drained:
                # drain_all_stock(): the model has no stock of charges for each CPU, but it tries once more.
                drained = True
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
            if not machine.oom.mem_cgroup_out_of_memory(limited, mm):
                return False
            retries = MAX_RECLAIM_RETRIES
        if mm is not None:
            self._note_over_high(memcg, nr_pages, gfp, mm)
        return True

    def owner_of(self, memcg: MemCgroup, counter: PageCounter) -> MemCgroup:
        """mem_cgroup_from_counter() (include/linux/memcontrol.h): the cgroup at or above `memcg` that has this counter."""
        position: MemCgroup | None = memcg
        while position is not None:
            if position.memory is counter:
                return position
            position = position.parent
        raise AssertionError("the counter belongs to no ancestor")

    # memory.high

    def _note_over_high(self, memcg: MemCgroup, nr_pages: i64, gfp: i64, mm: MmStruct) -> None:
        """Part of try_charge_memcg(): its end, where a cgroup may be over memory.high."""
        counter: PageCounter | None = memcg.memory
        while counter is not None:
            if counter.usage > counter.high:
                mm.nr_pages_over_high += max(nr_pages, MEMCG_CHARGE_BATCH)
                break
            counter = counter.parent
        if mm.nr_pages_over_high > MEMCG_CHARGE_BATCH and gfp & GFP_DIRECT_RECLAIM:
            self.handle_over_high(memcg, mm)

    def handle_over_high(self, memcg: MemCgroup, mm: MmStruct) -> None:
        """__mem_cgroup_handle_over_high(): each cgroup that is over memory.high gives back what the task has charged.

        A task whose cgroup is still far over it tries again, 16 times if nothing could be reclaimed. Then the
        kernel makes it sleep; here no time passes.

        Args:
            memcg: the task's.
            mm: the task's.
        """
        charged = mm.nr_pages_over_high
        if not charged:
            return
        mm.nr_pages_over_high = 0
        wanted = charged
        retries = MAX_RECLAIM_RETRIES
        while not mm.killed:
            reclaimed = self._reclaim_high(memcg, wanted)
            if self._high_delay(memcg, charged) <= HZ // 100:
                return
            if not reclaimed:
                if retries == 0:
                    return
                retries -= 1
            wanted = SWAP_CLUSTER_MAX

    def charge_page_table(self, memcg: MemCgroup, mm: MmStruct) -> None:
        """Part of try_charge_memcg(): the charge for the page table that goes with a huge page, with no stock.

        It may wait, so a task that is over memory.high reclaims here, before the huge page is mapped and queued,
        and not on its way back to user space.
        """
        self.handle_over_high(memcg, mm)

    def _reclaim_high(self, memcg: MemCgroup, nr_pages: i64) -> i64:
        """reclaim_high(): in each cgroup, upwards, that is over memory.high. Returns base pages reclaimed."""
        reclaimed: i64 = 0
        position: MemCgroup | None = memcg
        while position is not None:
            if position.memory.usage > position.memory.high:
                self.count_event(position, "high")
                reclaimed += self.machine.vmscan.try_to_free_mem_cgroup_pages(position, nr_pages)
            position = position.parent
        return reclaimed

    def _high_delay(self, memcg: MemCgroup, nr_pages: i64) -> int:
        """calculate_high_delay(): of mem_find_max_overage(), how many ticks (HZ 250) a task has to sleep; it
        grows with the square of how far the cgroup is over memory.high.
        """
        worst: int = 0
        counter: PageCounter | None = memcg.memory
        while counter is not None:
            usage, high = int(counter.usage), int(counter.high)
            if usage > high:
                worst = max(worst, ((usage - high) << MEMCG_DELAY_PRECISION_SHIFT) // max(high, 1))
            counter = counter.parent
        ticks: int = (worst * worst * HZ) & U64
        ticks >>= MEMCG_DELAY_PRECISION_SHIFT + MEMCG_DELAY_SCALING_SHIFT
        return ticks * int(nr_pages) // int(MEMCG_CHARGE_BATCH)

    # Writes to the files of a cgroup

    def memory_high_write(self, memcg: MemCgroup, high: i64) -> None:
        """memory_high_write(): the writer reclaims what is over it, until 17 times in all it has found nothing."""
        counter = memcg.memory
        counter.high = high
        retries = MAX_RECLAIM_RETRIES
        while counter.usage > high and not self.machine.vmscan.stops_for(memcg):
            excess = counter.usage - high
            if not self.machine.vmscan.try_to_free_mem_cgroup_pages(memcg, excess):
                if retries == 0:
                    return
                retries -= 1

    def memory_max_write(self, memcg: MemCgroup, limit: i64) -> None:
        """memory_max_write(): the writer reclaims what is over it; when 16 times in all it has found nothing, it
        kills one task after the other. The write never fails.
        """
        counter = memcg.memory
        counter.max = limit
        retries = MAX_RECLAIM_RETRIES
        while counter.usage > limit and not self.machine.vmscan.stops_for(memcg):
            if retries > 0:
                excess = counter.usage - limit
                if not self.machine.vmscan.try_to_free_mem_cgroup_pages(memcg, excess):
                    retries -= 1
            elif not self.machine.oom.mem_cgroup_out_of_memory(memcg):
                return

    # Events

    def count_event(self, memcg: MemCgroup, event: str) -> None:
        """memcg_memory_event() (include/linux/memcontrol.h): a line of memory.events, in each ancestor too."""
        position: MemCgroup | None = memcg
        while position is not None:
            position.events[event] = position.events.get(event, 0) + 1
            position = position.parent

    def count_stat(self, memcg: MemCgroup, name: str) -> None:
        """count_memcg_events(): an event that memory.stat counts, in each ancestor too."""
        position: MemCgroup | None = memcg
        while position is not None:
            position.stat[name] = position.stat.get(name, 0) + 1
            position = position.parent

    # Folios

    def charge_folio(self, folio: Folio, memcg: MemCgroup, gfp: i64, mm: MmStruct | None) -> bool:
        """charge_memcg(): False if there is no room and none could be made."""
        if self.machine.memcg.disabled:
            return True
        objcg = self.machine.objcgs.get(memcg, folio.nid)
        if not objcg.is_root and not self.try_charge(memcg, folio.nr_pages, gfp, mm):
            self.machine.objcgs.put(objcg)
            return False
        folio.objcg = objcg
        return True

    def commit_base(self, memcg: MemCgroup, nid: i64, nr_pages: i64) -> ObjCgroup:
        """Part of charge_memcg(): the objcg, with a reference, of base pages that try_charge() has charged already,
        because it did not know their node.
        """
        objcg = self.machine.objcgs.get(memcg, nid)
        if objcg.is_root:
            self.cancel_charge(memcg, nr_pages)
        return objcg

    def cancel_charge(self, memcg: MemCgroup, nr_pages: i64) -> None:
        """memcg_uncharge(): what try_charge() has charged is not needed after all."""
        tree = self.machine.memcg
        if not tree.disabled and memcg is not tree.root:
            memcg.memory.uncharge(nr_pages)

    def get_mem_cgroup_from_folio(self, folio: Folio) -> MemCgroup:
        """get_mem_cgroup_from_folio(): the folio's cgroup with a reference; the root if uncharged."""
        rcu = self.machine.rcu
        rcu.read_lock()
        while True:
            objcg = folio.objcg
            memcg = self.machine.memcg.root if objcg is None else obj_cgroup_memcg(objcg)
            if memcg.css_tryget():
                break
        rcu.read_unlock()
        return memcg

    def uncharge_folio(self, folio: Folio) -> None:
        """uncharge_folio(), __mem_cgroup_uncharge(): after this the folio's list can no longer be found through it."""
        if folio.objcg is None:
            return
        if self.machine.huge_memory.folio_unqueue_deferred_split(folio):
            warn_once("WARNING: uncharge_folio(): the folio was still queued for splitting")
        self.drop_charge(folio)

    def drop_charge(self, folio: Folio) -> None:
        """Part of uncharge_folio(): its end, the counters and the reference, without a look at the queue."""
        objcg = folio.objcg
        if objcg is None:
            return
        folio.objcg = None
        self.uncharge_pages(objcg, folio.nr_pages)
        self.machine.objcgs.put(objcg)

    def uncharge_pages(self, objcg: ObjCgroup, nr_pages: i64) -> None:
        """uncharge_batch(): the page counters, which do not count the root's own memory; not the reference."""
        if self.machine.memcg.disabled or objcg.is_root:
            return
        if H.on:
            H.watcher.point(CHARGE, objcg)
        # Whose it is by now: what a cgroup that went offline was charged is its parent's.
        objcg.memcg.memory.uncharge(nr_pages)
