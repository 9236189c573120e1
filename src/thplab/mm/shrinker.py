# SPDX-License-Identifier: GPL-2.0-only
"""The shrinker core: who is asked to give memory back, how much, and from where (mm/shrinker.c, 7.2).

>>> from thplab.mm.machine import Machine
>>> class Cache(Shrinker):
...     objects = 1000
...     def count_objects(self, sc):
...         return self.objects
...     def scan_objects(self, sc):
...         freed = min(sc.nr_to_scan, self.objects)
...         self.objects -= freed
...         return freed
>>> machine = Machine([1 << 30])
>>> cache = Cache("example")
>>> machine.shrinkers.register(cache)
>>> machine.shrinkers.shrink_slab(nid=0, memcg=machine.memcg.root, priority=2)
384
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.cpu.atomic import AtomicLong
from thplab.cpu.errors import KernelBug
from thplab.cpu.hook import H, warn_once
from thplab.cpu.ops import COMPLETION, READ, WRITE
from thplab.cpu.spinlock import LockClass, Mutex
from thplab.cpu.xarray import Ida
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.shrink_control import (
    DEF_PRIORITY,
    DEFAULT_SEEKS,
    SHRINK_BATCH,
    SHRINK_EMPTY,
    SHRINK_STOP,
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NONSLAB,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
    Shrinker,
    ShrinkerRefs,
)
from thplab.mm.shrinker_info import SHRINKER_UNIT_BITS, ShrinkerInfo, ShrinkerUnit
from thplab.mm.vmstat import (
    SLABS_SCANNED,
)

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = [
    "DEFAULT_SEEKS",
    "DEF_PRIORITY",
    "SHRINKER_MEMCG_AWARE",
    "SHRINKER_NONSLAB",
    "SHRINKER_NUMA_AWARE",
    "SHRINK_BATCH",
    "SHRINK_EMPTY",
    "SHRINK_STOP",
    "ShrinkControl",
    "Shrinker",
    "ShrinkerRefs",
    "Shrinkers",
]

SOFT_LOCKUP: Final[i64] = 100_000  # calls without progress; a kernel's watchdog bites after seconds
SHRINKER_MUTEX: Final = LockClass("shrinker_mutex")


@mypyc_attr(allow_interpreted_subclasses=True)
class Shrinkers:
    """All shrinkers of a machine, and the bits that its cgroups have for them."""

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.mutex: Mutex = Mutex(SHRINKER_MUTEX)
        self.registered: list[Shrinker] = []
        self.ids: Ida = Ida()
        self.by_id: list[Shrinker | None] = []
        self.nr_max: i64 = 0

    def __repr__(self) -> str:
        return "shrinker_list"

    # Registration

    def alloc(self, shrinker: Shrinker) -> None:
        """shrinker_alloc(): give it an id, if it is memcg-aware and the machine was booted for that."""
        if H.on and H.watcher.fails("shrinker"):
            raise MemoryError(f"shrinker_alloc() of {shrinker.name}")
        wanted = (shrinker.flags & SHRINKER_MEMCG_AWARE) != 0
        possible = self.gives_id(shrinker)
        nr_counts: i64 = self.machine.nr_nodes if shrinker.flags & SHRINKER_NUMA_AWARE else 1
        shrinker.nr_deferred = [AtomicLong() for _ in range(nr_counts)]
        if wanted:
            # So that nobody takes 0, which is an id, for that of a shrinker that gets none.
            shrinker.id = -1
        if wanted and possible:
            self.mutex.lock()
            shrinker.id = self.ids.alloc()
            shrinker.memcg_aware = True
            while len(self.by_id) <= shrinker.id:
                self.by_id.append(None)
            if shrinker.id >= self.nr_max:
                self._expand_info(shrinker.id)
            self.mutex.unlock()

    def gives_id(self, shrinker: Shrinker) -> bool:
        """Part of shrinker_memcg_alloc(): its -ENOSYS. With nokmem only shrinkers of what is charged
        anyway, not of slab, can be asked by cgroup.
        """
        memcg = self.machine.memcg
        return not memcg.disabled and (
            memcg.kmem_enabled or (shrinker.flags & SHRINKER_NONSLAB) != 0
        )

    def register(self, shrinker: Shrinker) -> None:
        """shrinker_register(): from now on reclaim calls it. Allocates it if the caller has not done so."""
        if not shrinker.nr_deferred:
            self.alloc(shrinker)
        self.mutex.lock()
        if H.on:
            H.watcher.point(WRITE, self)
        if shrinker.memcg_aware:
            self.by_id[shrinker.id] = shrinker
        self.registered.append(shrinker)
        shrinker.refs.refcount = 1
        self.mutex.unlock()

    def free(self, shrinker: Shrinker) -> None:
        """shrinker_free(): no new call begins; returns when those under way have ended."""
        refs = shrinker.refs
        if shrinker in self.registered:
            refs.put_testzero()
            while refs.ref_count() > 0:
                if not H.on:
                    warn_once(f"INFO: task hung: {refs!r} has references nobody will drop")
                    break
                H.watcher.block(COMPLETION, refs)
            self.mutex.lock()
            if H.on:
                H.watcher.point(WRITE, self)
            self.registered.remove(shrinker)
            self.mutex.unlock()
        self.mutex.lock()
        if shrinker.memcg_aware:
            if H.on:
                H.watcher.point(WRITE, self)
            self.by_id[shrinker.id] = None
            self.ids.free(shrinker.id)
            shrinker.memcg_aware = False
        self.mutex.unlock()

    # What cgroups know

    def alloc_info(self) -> ShrinkerInfo:
        """alloc_shrinker_info(): for one (cgroup, node)."""
        units = [ShrinkerUnit() for _ in range((self.nr_max + 63) // SHRINKER_UNIT_BITS)]
        return ShrinkerInfo(self.nr_max, units)

    def _expand_info(self, new_id: i64) -> None:
        """expand_shrinker_info(): each cgroup gets room for `new_id`; the old info goes by RCU."""
        old_units = (self.nr_max + 63) // SHRINKER_UNIT_BITS
        new_max = (new_id // SHRINKER_UNIT_BITS + 1) * SHRINKER_UNIT_BITS
        new_units = new_max // SHRINKER_UNIT_BITS
        for memcg in self.machine.memcg.iterate(self.machine.memcg.root):
            for pernode in memcg.nodeinfo:
                old = pernode.shrinker_info
                if old is None:
                    continue
                more = [ShrinkerUnit() for _ in range(new_units - old_units)]
                pernode.shrinker_info = ShrinkerInfo(new_max, old.unit + more)
                self.machine.rcu.call(old)
        self.nr_max = new_max

    def set_shrinker_bit(self, memcg: MemCgroup | None, nid: i64, shrinker_id: i64) -> None:
        """set_shrinker_bit(): reclaim of (memcg, nid) has something to ask this shrinker for."""
        # The root has deferred counts, but reclaim never reads its bits.
        if shrinker_id < 0 or memcg is None or memcg is self.machine.memcg.root:
            return
        info = memcg.nodeinfo[nid].shrinker_info
        if info is None:
            return
        rcu = self.machine.rcu
        rcu.read_lock()
        if shrinker_id >= info.map_nr_max:
            warn_once("WARNING: mm/shrinker.c: set_shrinker_bit(): id >= map_nr_max")
        else:
            info.unit_of(shrinker_id).set_bit(shrinker_id % SHRINKER_UNIT_BITS)
        rcu.read_unlock()

    def test_shrinker_bit(self, memcg: MemCgroup, nid: i64, shrinker_id: i64) -> bool:
        """Whether the bit is set. For inspection; the kernel only walks the map."""
        info = memcg.nodeinfo[nid].shrinker_info
        if info is None or shrinker_id < 0 or shrinker_id >= info.map_nr_max:
            return False
        word = info.unit_of(shrinker_id).word
        return (word >> (shrinker_id % SHRINKER_UNIT_BITS)) & 1 != 0

    def reparent_deferred(self, memcg: MemCgroup, parent: MemCgroup) -> None:
        """reparent_shrinker_deferred(): the parent's counts get the child's added; the child's stay."""
        self.mutex.lock()
        for child, above in zip(memcg.nodeinfo, parent.nodeinfo, strict=True):
            source = child.shrinker_info
            target = above.shrinker_info
            if source is None or target is None:
                continue
            for mine, theirs in zip(source.unit, target.unit, strict=True):
                for offset, count in enumerate(mine.nr_deferred):
                    if count:
                        theirs.add_deferred(offset, count)
        self.mutex.unlock()

    # Shrinking

    def _deferred_unit(self, shrinker: Shrinker, sc: ShrinkControl) -> ShrinkerUnit | None:
        memcg = sc.memcg
        if memcg is None or not shrinker.memcg_aware:
            return None
        nid: i64 = sc.nid if shrinker.flags & SHRINKER_NUMA_AWARE else 0
        info = memcg.nodeinfo[nid].shrinker_info
        if info is None or shrinker.id >= info.map_nr_max:
            return None
        return info.unit_of(shrinker.id)

    def do_shrink_slab(self, sc: ShrinkControl, shrinker: Shrinker, priority: i64) -> i64:
        """do_shrink_slab(): ask one shrinker for its share at this priority.

        At priority p a share of 4 / seeks / 2**p of the objects is due. What is due is scanned in
        whole batches; the rest is deferred to the next call, except that all that is left of a
        small cache is scanned at once.

        Returns:
            Objects freed, or what count_objects() said where it said 0 or SHRINK_EMPTY.
        """
        freeable: i64 = shrinker.count_objects(sc)
        if freeable == 0 or freeable == SHRINK_EMPTY:
            return freeable
        batch = shrinker.batch or SHRINK_BATCH
        unit = self._deferred_unit(shrinker, sc)
        counter = shrinker.nr_deferred[sc.nid if shrinker.flags & SHRINKER_NUMA_AWARE else 0]
        offset = shrinker.id % SHRINKER_UNIT_BITS
        nr = counter.xchg(0) if unit is None else unit.xchg_deferred(offset)

        delta = (freeable >> priority) * 4 // shrinker.seeks if shrinker.seeks else freeable // 2
        total = min((nr >> priority) + delta, 2 * freeable)
        freed: i64 = 0
        scanned: i64 = 0
        stalled: i64 = 0
        while total >= batch or total >= freeable:
            nr_to_scan = min(batch, total)
            sc.nr_to_scan = nr_to_scan
            sc.nr_scanned = nr_to_scan
            result: i64 = shrinker.scan_objects(sc)
            if result == SHRINK_STOP:
                break
            freed += result
            if sc.nr_scanned <= 0:
                stalled += 1
                if stalled == SOFT_LOCKUP:
                    raise KernelBug(
                        f"BUG: soft lockup: {shrinker.refs!r} set nr_scanned to 0 in "
                        f"{SOFT_LOCKUP} calls in a row, and do_shrink_slab() waits for it to grow"
                    )
            self.machine.vmstat.count(SLABS_SCANNED, sc.nr_scanned)
            total -= sc.nr_scanned
            scanned += sc.nr_scanned
        left = min(max(nr + delta - scanned, 0), 2 * freeable)
        if unit is None:
            counter.add(left)
        else:
            unit.add_deferred(offset, left)
        return freed

    def shrink_slab(self, nid: i64, memcg: MemCgroup | None, priority: i64) -> i64:
        """shrink_slab(): reclaim of (memcg, nid) asks the shrinkers. Returns objects freed.

        The root, or a machine without the memory controller, asks every shrinker; another cgroup
        those whose bit it has.
        """
        tree = self.machine.memcg
        if not tree.disabled and memcg is not None and memcg is not tree.root:
            return self._shrink_slab_memcg(nid, memcg, priority)
        freed: i64 = 0
        if H.on:
            H.watcher.point(READ, self)
        for shrinker in list(self.registered):
            if not shrinker.refs.try_get():
                continue
            result = self.do_shrink_slab(ShrinkControl(nid, memcg), shrinker, priority)
            if result != SHRINK_EMPTY:
                freed += result
            shrinker.refs.put_testzero()
        return freed

    def _shrink_slab_memcg(self, nid: i64, memcg: MemCgroup, priority: i64) -> i64:
        """shrink_slab_memcg(): each shrinker whose bit the cgroup has."""
        if not memcg.online():
            return 0
        freed: i64 = 0
        index: i64 = 0
        rcu = self.machine.rcu
        while True:
            rcu.read_lock()
            info = memcg.nodeinfo[nid].shrinker_info
            assert info is not None
            unit = info.unit[index] if index < len(info.unit) else None
            rcu.read_unlock()
            if unit is None:
                return freed
            offset = unit.find_next_bit(0)
            while offset < SHRINKER_UNIT_BITS:
                freed += self._shrink_one(nid, memcg, priority, index, unit, offset)
                # The map is read anew: a bit further on that was set meanwhile counts, one behind does not.
                offset = unit.find_next_bit(offset + 1)
            index += 1

    def _shrink_one(
        self, nid: i64, memcg: MemCgroup, priority: i64, index: i64, unit: ShrinkerUnit, offset: i64
    ) -> i64:
        """Part of shrink_slab_memcg(): one bit of the map. Its shrinker is asked; the bit is cleared if there is nothing at all."""
        shrinker_id = index * SHRINKER_UNIT_BITS + offset
        rcu = self.machine.rcu
        rcu.read_lock()
        if H.on:
            H.watcher.point(READ, self)
        shrinker = self.by_id[shrinker_id] if shrinker_id < len(self.by_id) else None
        if shrinker is None or not shrinker.refs.try_get():
            unit.clear_bit(offset)
            rcu.read_unlock()
            return 0
        rcu.read_unlock()
        result: i64 = 0
        if self.machine.memcg.kmem_enabled or shrinker.flags & SHRINKER_NONSLAB:
            result = self.do_shrink_slab(ShrinkControl(nid, memcg), shrinker, priority)
            if result == SHRINK_EMPTY:
                result = self.clear_and_recheck(nid, memcg, priority, unit, offset, shrinker)
        else:
            unit.clear_bit(offset)
        shrinker.refs.put_testzero()
        return result

    def clear_and_recheck(
        self,
        nid: i64,
        memcg: MemCgroup,
        priority: i64,
        unit: ShrinkerUnit,
        offset: i64,
        shrinker: Shrinker,
    ) -> i64:
        """Part of shrink_slab_memcg(): clear the bit, then ask again. An object linked before the clear is seen by the second
        question, one linked later sets the bit after it. The order is the protocol.
        """
        unit.clear_bit(offset)
        result = self.do_shrink_slab(ShrinkControl(nid, memcg), shrinker, priority)
        if result == SHRINK_EMPTY:
            return 0
        self.set_shrinker_bit(memcg, nid, shrinker.id)
        return result
