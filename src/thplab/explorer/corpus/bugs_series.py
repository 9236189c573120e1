# SPDX-License-Identifier: GPL-2.0-only
"""B01 to B15: bugs of the conversion to list_lru itself, v1 to what came after the merge."""

from __future__ import annotations

from collections.abc import Callable

from thplab.cpu.list_head import ListHead
from thplab.designs.list_lru import ListLruQueue
from thplab.explorer.cases.machine_world import Lanes, MachineWorld
from thplab.explorer.cases.standard import case_named
from thplab.explorer.corpus.bug import Bug, bug, promise
from thplab.explorer.corpus.mutants_series import (
    QueueB01,
    QueueB02,
    QueueB03,
    QueueB04,
    QueueB05,
    QueueB06,
    QueueB07,
    QueueB08,
    QueueB10,
    QueueB11,
    QueueB12Fixed,
    QueueB13Fixed,
    QueueB14Fixed,
    QueueB15,
)
from thplab.mm.collapse import SCAN_SUCCEED, CollapseControl
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR, HPAGE_PMD_ORDER
from thplab.mm.gfp import GFP_KERNEL
from thplab.mm.list_lru import ListLru
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import PG_ANON, PG_DEVICE_PRIVATE, PG_LARGE_RMAPPABLE, Folio, Vma
from thplab.mm.vmscan import ScanControl

__all__ = ["BUGS"]


def charged_folio(world: MachineWorld, order: int, flags: int) -> Folio:
    """A folio of any kind, charged to the case's cgroup, with the one reference that the case holds."""
    machine = world.machine
    nid = machine.pages.alloc_huge(order, 0, None, GFP_KERNEL)
    folio = Folio(order, nid, flags)
    assert machine.charges.charge_folio(folio, world.cgroup, GFP_KERNEL, None)
    world.folios.append(folio)
    return folio


def _dentries_and_irq(world: MachineWorld) -> Lanes:
    """Another list_lru, whose lock is taken with interrupts on, and a final put in an interrupt."""
    dentries = ListLru(world.machine, memcg_aware=True)
    entry = ListHead()
    vma = world.map_queued()
    folio = world.folios[0]
    world.hold(folio)
    world.unmap(vma)

    def dput() -> None:
        dentries.add(entry, 0, None)
        dentries.delete(entry, 0, None)

    return dput, (lambda: world.put(folio))


def _freeze(flags: int) -> Callable[[MachineWorld], Lanes]:
    """Freeze a folio of a cgroup that has no list heads, as a split does."""

    def setup(world: MachineWorld) -> Lanes:
        folio = charged_folio(world, int(HPAGE_PMD_ORDER), flags)

        def split() -> None:
            promise(world.queue.freeze(folio, 1), "a folio with one reference can be frozen")
            world.machine.lru.folio_put(folio, 0)

        return (split,)

    return setup


def _with_base_pages(world: MachineWorld) -> Vma:
    machine = world.machine
    thp = machine.huge_memory.thp
    thp.enabled = "never"
    vma = machine.mmap(world.task, "small", int(HPAGE_PMD_NR))
    machine.move_task(world.task, world.cgroup)
    machine.memory.touch(world.task, vma, 0, FULL_MASK, zeros=False)
    thp.enabled = "always"
    return vma


def _collapse(world: MachineWorld) -> Lanes:
    """MADV_COLLAPSE of a range of base pages."""
    vma = _with_base_pages(world)

    def collapse() -> None:
        result = world.machine.khugepaged.collapse(world.task, vma, 0, CollapseControl(False))
        promise(
            result != SCAN_SUCCEED or isinstance(vma.slots[0], Folio),
            "MADV_COLLAPSE reports success, and there is no huge page",
        )

    return (collapse,)


def _scanned(world: MachineWorld) -> int:
    return world.machine.vmstat.events["slabs_scanned"]


def _global_round(world: MachineWorld) -> Lanes:
    """nokmem: one huge page that cannot be split, and one round of global reclaim."""
    world.map_queued()
    world.folios[0].trylock()

    def round_of_reclaim() -> None:
        control = ScanControl(None, 1)
        control.priority = 0
        world.machine.vmscan.shrink_node(0, control)
        # Once, do_shrink_slab() asks for at most twice what there is.
        promise(
            _scanned(world) <= 2,
            "one round of reclaim scanned the list with the only queued huge page twice",
        )

    return (round_of_reclaim,)


def _two_cgroups(world: MachineWorld) -> Lanes:
    """nokmem: two cgroups that share the lists are to be alike."""
    first = world.cgroup
    second = world.machine.memcg.create("/d")
    for memcg in (first, second):
        world.map_queued(memcg)
    for folio in world.folios:
        folio.trylock()

    def reaches(memcg: MemCgroup) -> bool:
        before = _scanned(world)
        world.machine.shrinkers.shrink_slab(0, memcg, 0)
        return _scanned(world) != before

    def reclaim_both() -> None:
        reached = reaches(second), reaches(first)
        promise(
            reached[0] == reached[1],
            "reclaim of one cgroup reaches the shrinker, of the other it does not; both have queued",
        )

    return (reclaim_both,)


def queue_one(world: MachineWorld) -> Lanes:
    """The first huge page of a cgroup is queued."""
    vma = world.map_huge()
    return ((lambda: world.unmap_half(vma)),)


def _drained(world: MachineWorld) -> Lanes:
    """The queue drains, then reclaim asks once."""
    vma = world.map_queued()
    world.unmap(vma)
    machine = world.machine

    def reclaim() -> None:
        machine.shrinkers.shrink_slab(0, world.cgroup, 0)
        promise(
            not machine.shrinkers.test_shrinker_bit(world.cgroup, 0, world.queue.id),
            "the queue is empty, reclaim has asked, and the shrinker bit is still set",
        )

    return (reclaim,)


def _hook_only(order: int, flags: int, what: str) -> Callable[[MachineWorld], Lanes]:
    """An allocation of what is never queued runs the hook."""

    def setup(world: MachineWorld) -> Lanes:
        folio = charged_folio(world, order, flags)

        def allocate() -> None:
            world.queue.prepare(folio)
            queue = world.queue
            assert isinstance(queue, ListLruQueue)
            heads = queue.the_lru().xa.slots[world.cgroup.kmemcg_id :]
            promise(
                not heads or heads[0] is None,
                f"list heads were made for a cgroup that has only {what}",
            )
            world.machine.lru.folio_put(folio)

        return (allocate,)

    return setup


def _stop_and_reclaim(world: MachineWorld) -> Lanes:
    """The shrinker goes while reclaim runs."""
    return world.queue.stop, world.reclaimer(world.root)


BUGS: tuple[Bug, ...] = (
    bug(
        "B01",
        "folio_memcg() without RCU in freeze-and-split",
        "v1",
        checks="rcu",
        mutant=QueueB01,
        fixed=ListLruQueue,
        setup=case_named("scan-split"),
        about="The cgroup is read before the read section of list_lru_lock() begins.",
    ),
    bug(
        "B02",
        "lock class shared by an irq-safe and an irq-unsafe list_lru",
        "v1, v2",
        checks="lockdep",
        mutant=QueueB02,
        fixed=ListLruQueue,
        setup=_dentries_and_irq,
        handlers=(0,),
        bound=1,
        about="A final put in an interrupt takes a lock of the class that dentries use with interrupts on.",
    ),
    bug(
        "B03",
        "list_lru locked for folios that can never be queued",
        "v1, v2",
        checks="warning",
        mutant=QueueB03,
        fixed=ListLruQueue,
        setup=_freeze(int(PG_LARGE_RMAPPABLE)),
        about="A file folio of a cgroup without list heads is split.",
    ),
    bug(
        "B04",
        "NULL memcg in __memcg_list_lru_alloc() under cgroup_disable=memory",
        "v3",
        checks="oops",
        mutant=QueueB04,
        fixed=ListLruQueue,
        setup=_collapse,
        boot="disabled",
        about="khugepaged collapses one range on a machine without a memory controller.",
    ),
    bug(
        "B05",
        "collapse reports success although the head allocation failed",
        "v4",
        checks="postcondition",
        mutant=QueueB05,
        fixed=ListLruQueue,
        setup=_collapse,
        about="The allocation of list heads fails in MADV_COLLAPSE.",
    ),
    bug(
        "B06",
        "shrinker bit set on the dying memcg, item queued on the ancestor",
        "4.19 to 7.1, exposed by v4",
        checks="invariants",
        mutant=QueueB06,
        fixed=ListLruQueue,
        setup=case_named("add-offline"),
        about="The lock helper walked up; the bit goes to the cgroup that was asked for.",
    ),
    bug(
        "B07",
        "deferred_split_isolate() touches the folio after unlinking it",
        "v1 to v4",
        checks="lifetime",
        mutant=QueueB07,
        fixed=ListLruQueue,
        setup=case_named("scan-final-put"),
        about="The final put sees an empty link without the lock, and frees the folio under the walker.",
    ),
    bug(
        "B08",
        "nokmem: shrinker runs twice per reclaim round",
        "v5",
        checks="postcondition",
        mutant=QueueB08,
        fixed=ListLruQueue,
        setup=_global_round,
        boot="nokmem",
        about="The list that all cgroups share is scanned for the root and again for the cgroup with the bit.",
    ),
    bug(
        "B09",
        "nokmem: second memcg gets no bit",
        "v5",
        checks="postcondition",
        mutant=QueueB08,
        fixed=ListLruQueue,
        setup=_two_cgroups,
        boot="nokmem",
        about="Only the first cgroup that queues sets a bit, its own, on the list that all share.",
    ),
    bug(
        "B10",
        "stale shrinker id 0",
        "7.2 to 7.2.7",
        checks="warning",
        mutant=QueueB10,
        fixed=ListLruQueue,
        setup=queue_one,
        boot="nokmem",
        about="The list_lru copies the id of a shrinker that never got one. Since 7.2.8 that id is -1, and 7.3.4 does not copy it.",
    ),
    bug(
        "B11",
        "sticky bit: count returns 0 instead of SHRINK_EMPTY",
        "5.4 to 7.1",
        checks="postcondition",
        mutant=QueueB11,
        fixed=ListLruQueue,
        setup=_drained,
        about="The bit of a drained queue is never cleared, so each reclaim asks again.",
    ),
    bug(
        "B12",
        "hook runs for shmem swap-in",
        "v5, 7.2",
        checks="postcondition",
        mutant=ListLruQueue,
        fixed=QueueB12Fixed,
        setup=_hook_only(int(HPAGE_PMD_ORDER), int(PG_LARGE_RMAPPABLE), "shmem"),
        about="List heads are made for a cgroup that swaps in shmem, which is never queued.",
    ),
    bug(
        "B13",
        "hooks for folios that cannot be queued",
        "v1 to v3",
        checks="postcondition",
        mutant=ListLruQueue,
        fixed=QueueB13Fixed,
        setup=_hook_only(1, int(PG_ANON | PG_LARGE_RMAPPABLE), "order-1 folios"),
        about="An order-1 folio has no list links. In 7.2 the caller looks at the order, here the hook.",
    ),
    bug(
        "B14",
        "device-private folios in freeze-and-split",
        "v5, 7.2",
        checks="warning",
        mutant=ListLruQueue,
        fixed=QueueB14Fixed,
        setup=_freeze(int(PG_ANON | PG_LARGE_RMAPPABLE | PG_DEVICE_PRIVATE)),
        about="A list is locked for device memory, which is never queued.",
    ),
    bug(
        "B15",
        "teardown order",
        "v1 to v3",
        checks="oops",
        mutant=QueueB15,
        fixed=ListLruQueue,
        setup=_stop_and_reclaim,
        cpus=2,
        about="list_lru_destroy() before shrinker_free(): reclaim counts lists that are gone.",
    ),
)
