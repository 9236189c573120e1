# SPDX-License-Identifier: GPL-2.0-only
"""The standard cases: each pair of operations on the queue that can meet, on one small machine.

The tests hold every design to them. Two CPUs and one or two huge pages are enough for the bugs that this
code has had; a third CPU is there where three parties are needed.
"""

from __future__ import annotations

from thplab.errors import InputError
from thplab.explorer.cases.machine_world import Lanes, MachineCase, MachineWorld
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.shrinker import SHRINKER_MEMCG_AWARE, SHRINKER_NUMA_AWARE, ShrinkControl, Shrinker

__all__ = ["CASES", "case_named"]


def _add_offline(world: MachineWorld) -> Lanes:
    world.nest()
    vma = world.map_huge()
    return (lambda: world.unmap_half(vma)), world.rmdir


def _del_offline(world: MachineWorld) -> Lanes:
    vma = world.map_queued()
    return (lambda: world.unmap(vma)), world.rmdir


def _walk_del(world: MachineWorld) -> Lanes:
    world.map_queued()
    world.map_queued()
    folio = world.folios[1]
    world.hold(folio)

    return world.scanner(), (lambda: world.split(folio))


def _walk_final_put(world: MachineWorld) -> Lanes:
    first = world.map_queued()
    second = world.map_queued()

    def final_puts() -> None:
        world.unmap(first)
        world.unmap(second)

    return world.scanner(), final_puts


def _scan_final_put(world: MachineWorld) -> Lanes:
    vma = world.map_queued()
    return world.scanner(), (lambda: world.unmap(vma))


def _scan_partial_unmap(world: MachineWorld) -> Lanes:
    world.machine.huge_memory.thp.shrink_underused = True
    vma = world.map_huge()
    return world.scanner(), (lambda: world.unmap_half(vma))


def _scan_migration(world: MachineWorld) -> Lanes:
    vma = world.map_queued()
    return world.scanner(), (lambda: world.migrate(vma, 1))


def _scan_split(world: MachineWorld) -> Lanes:
    world.map_queued()
    folio = world.folios[0]
    world.hold(folio)
    return world.scanner(), (lambda: world.split(folio))


def _bit_clear_add(world: MachineWorld) -> Lanes:
    gone = world.map_queued()
    world.unmap(gone)
    vma = world.map_huge()
    return world.reclaimer(), (lambda: world.unmap_half(vma))


def _bit_clear_reparent(world: MachineWorld) -> Lanes:
    parent = world.nest()
    gone = world.map_queued(parent)
    world.unmap(gone)
    world.map_queued()
    return world.reclaimer(parent), world.rmdir


def _head_allocation_offline(world: MachineWorld) -> Lanes:
    machine = world.machine
    machine.move_task(world.task, world.cgroup)
    vma = machine.mmap(world.task, "late", int(HPAGE_PMD_NR))

    def fault() -> None:
        machine.memory.touch(world.task, vma, 0, FULL_MASK, zeros=False)
        world.unmap_half(vma)
        world.cgroup.css_put()

    # The task is on its way out of the cgroup: it keeps it busy no longer, but charges there still, with
    # the reference that get_mem_cgroup_from_mm() took.
    world.cgroup.nr_tasks -= 1
    world.cgroup.get()
    return fault, world.rmdir


def _count_all(world: MachineWorld) -> Lanes:
    first = world.map_queued()
    second = world.map_huge()

    of_cgroup = world.counter()
    of_root = world.counter(world.root)

    def counts() -> None:
        of_cgroup()
        of_root()

    def changes() -> None:
        world.unmap_half(second)
        world.unmap(first)

    return counts, changes, world.rmdir


class _Cache(Shrinker):
    """Another shrinker, with a few objects."""

    def __init__(self) -> None:
        super().__init__("cache", SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE)
        self.freed = False

    def count_objects(self, sc: ShrinkControl) -> int:
        """As long as it is there."""
        if self.freed:
            raise AssertionError("count_objects() after shrinker_free() returned")
        return 2

    def scan_objects(self, sc: ShrinkControl) -> int:
        """Nothing can be freed."""
        if self.freed:
            raise AssertionError("scan_objects() after shrinker_free() returned")
        return 0


def _shrinker_free(world: MachineWorld) -> Lanes:
    shrinkers = world.machine.shrinkers
    world.map_queued()

    def register_and_free() -> None:
        cache = _Cache()
        try:
            shrinkers.register(cache)
        except MemoryError:
            # shrinker_alloc() returned NULL: there is no cache then.
            return
        shrinkers.set_shrinker_bit(world.cgroup, 0, cache.id)
        shrinkers.free(cache)
        cache.freed = True

    return register_and_free, world.reclaimer()


def _split_reclaim(world: MachineWorld) -> Lanes:
    world.map_queued()
    folio = world.folios[0]
    world.hold(folio)
    return (lambda: world.split(folio)), world.reclaimer()


def _two_scanners(world: MachineWorld) -> Lanes:
    world.map_queued()
    world.map_queued()
    return world.scanner(2), world.scanner(2)


def _irq_final_put(world: MachineWorld) -> Lanes:
    vma = world.map_queued()
    world.map_queued()
    folio = world.folios[0]
    world.hold(folio)
    world.unmap(vma)
    other = world.map_huge()
    return (
        world.scanner(),
        (lambda: world.unmap_half(other)),
        (lambda: world.put(folio)),
    )


def _scan_offline(world: MachineWorld) -> Lanes:
    world.map_queued()
    return world.scanner(), world.rmdir


def _reclaim_offline(world: MachineWorld) -> Lanes:
    world.map_queued()
    return world.node_reclaimer(), world.rmdir


def _migration_offline(world: MachineWorld) -> Lanes:
    vma = world.map_queued()
    return (lambda: world.migrate(vma, 1)), world.rmdir


CASES: tuple[MachineCase, ...] = (
    MachineCase("add-offline", "a huge page is queued while its cgroup goes offline", _add_offline),
    MachineCase("del-offline", "a final put while the cgroup goes offline", _del_offline),
    MachineCase("scan-offline", "a scan while the cgroup goes offline", _scan_offline),
    MachineCase(
        "reclaim-offline",
        "reclaim of all cgroups on a node while one goes offline",
        _reclaim_offline,
    ),
    MachineCase(
        "migration-offline",
        "a migration to another node while the cgroup goes offline, node by node",
        _migration_offline,
        nodes=2,
    ),
    MachineCase("walk-del", "a walk meets a huge page that is being split", _walk_del),
    MachineCase(
        "walk-final-put", "a walk over two huge pages that are being freed", _walk_final_put
    ),
    MachineCase("scan-final-put", "a scan meets a final put", _scan_final_put),
    MachineCase(
        "scan-partial-unmap",
        "a scan meets a partial unmap of an intact huge page",
        _scan_partial_unmap,
    ),
    MachineCase(
        "scan-migration", "a scan meets a migration to another node", _scan_migration, nodes=2
    ),
    MachineCase("scan-split", "a scan meets a split", _scan_split),
    MachineCase(
        "bit-clear-add", "reclaim clears a shrinker bit while a huge page is queued", _bit_clear_add
    ),
    MachineCase(
        "bit-clear-reparent",
        "reclaim clears the parent's shrinker bit while a child is reparented",
        _bit_clear_reparent,
    ),
    MachineCase(
        "head-allocation-offline",
        "list heads are allocated for a cgroup that goes offline",
        _head_allocation_offline,
    ),
    MachineCase(
        "count-all", "counts beside an add, a final put and an offline", _count_all, cpus=3
    ),
    MachineCase("shrinker-free", "a shrinker comes and goes while reclaim runs", _shrinker_free),
    MachineCase("split-reclaim", "a split meets reclaim", _split_reclaim),
    MachineCase("two-scanners", "two scans of one list", _two_scanners),
    MachineCase(
        "irq-final-put",
        "the final put comes from an interrupt on a CPU that scans",
        _irq_final_put,
        handlers=(0,),
    ),
)


def case_named(name: str) -> MachineCase:
    """The standard case of that name.

    Raises:
        InputError: there is none.
    """
    for case in CASES:
        if case.name == name:
            return case
    names = ", ".join(case.name for case in CASES)
    raise InputError(f"there is no case {name!r}; there are {names}")
