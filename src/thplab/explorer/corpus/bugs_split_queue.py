# SPDX-License-Identifier: GPL-2.0-only
"""B23 to B34, and B45: bugs of the deferred split queue before the conversion."""

from __future__ import annotations

from collections.abc import Callable

from thplab.designs.list_lru import ListLruQueue
from thplab.designs.split_queue import SplitQueue
from thplab.designs.split_queue_reparented import SplitQueueReparented
from thplab.explorer.cases.machine_world import Lanes, MachineWorld
from thplab.explorer.cases.standard import case_named
from thplab.explorer.corpus.bug import Bug, bug, promise
from thplab.explorer.corpus.bugs_series import charged_folio
from thplab.explorer.corpus.mutants_split_queue import (
    QueueB23,
    QueueB24,
    QueueB29,
    QueueB32,
    QueueB34,
    QueueB45,
)
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import PG_ANON, PG_HWPOISON, PG_LARGE_RMAPPABLE, Folio

__all__ = ["BUGS"]


def _scan_locked_final_put(world: MachineWorld) -> Lanes:
    """The scan cannot lock the huge page, and its reference is not the last; then the last goes."""
    vma = world.map_queued()
    world.folios[0].trylock()
    return world.scanner(), (lambda: world.unmap(vma))


def _final_put(world: MachineWorld) -> Lanes:
    vma = world.map_queued()
    return ((lambda: world.unmap(vma)),)


def _swapout(unqueue: bool) -> Callable[[MachineWorld], Lanes]:
    """mem_cgroup_swapout(): the huge page leaves its cgroup, with its references frozen, and is freed."""

    def setup(world: MachineWorld) -> Lanes:
        machine = world.machine
        folio = charged_folio(world, 9, int(PG_ANON | PG_LARGE_RMAPPABLE))
        world.queue.prepare(folio)
        machine.huge_memory.deferred_split_folio(folio, True)

        def swapout() -> None:
            promise(folio.ref_freeze(1), "the case has the only reference")
            if unqueue:
                machine.huge_memory.folio_unqueue_deferred_split(folio)
            machine.charges.drop_charge(folio)
            folio.ref_unfreeze(1)
            machine.lru.folio_put(folio)

        return (swapout,)

    return setup


def _move_charge(world: MachineWorld, folio: Folio, target: MemCgroup) -> None:
    """mem_cgroup_move_account(): the folio becomes another cgroup's; the caller holds its lock."""
    machine = world.machine
    machine.charges.drop_charge(folio)
    promise(machine.charges.charge_folio(folio, target, 0, None), "the other cgroup has room")


def _charge_move(skip_queued: bool) -> Callable[[MachineWorld], Lanes]:
    def setup(world: MachineWorld) -> Lanes:
        machine = world.machine
        other = machine.memcg.create("/d")
        folio = charged_folio(world, 9, int(PG_ANON | PG_LARGE_RMAPPABLE))
        machine.huge_memory.deferred_split_folio(folio, True)

        def move_task_charges() -> None:
            if folio.trylock():
                # The fix splits such a folio first; here it stays where it is.
                if not skip_queued or folio.next is None:
                    _move_charge(world, folio, other)
                folio.unlock()
            machine.lru.folio_put(folio)

        return (move_task_charges,)

    return setup


def _partial_unmap_hwpoison(world: MachineWorld) -> Lanes:
    """A partial unmap beside a memory error in the same huge page."""
    vma = world.map_huge()
    folio = world.folios[0]
    return (lambda: world.unmap_half(vma)), (lambda: folio.set_flag(PG_HWPOISON))


def _migrate_queued(world: MachineWorld) -> Lanes:
    """A queued huge page moves to the other node, whole, as before 6.11; now it would be split first."""
    world.map_queued()
    folio = world.folios[0]

    def migrate() -> None:
        folio.get()
        world.machine.migration.migrate_folio(folio, 1)

    return (migrate,)


def _order_one(world: MachineWorld) -> Lanes:
    """An order-1 folio is partially unmapped."""
    machine = world.machine
    folio = charged_folio(world, 1, int(PG_ANON | PG_LARGE_RMAPPABLE))

    def unmap_one_of_two() -> None:
        world.queue.prepare(folio)
        machine.huge_memory.deferred_split_folio(folio, True)
        promise(folio.next is None, "an order-1 folio was queued: it has no room for the links")
        machine.lru.folio_put(folio)

    return (unmap_one_of_two,)


BUGS: tuple[Bug, ...] = (
    bug(
        "B23",
        "on-stack list edited by the final put",
        "up to 6.9-rc",
        checks=("list ownership", "list corruption"),
        mutant=QueueB23,
        fixed=SplitQueue,
        setup=_scan_locked_final_put,
        cpus=2,
        about="The folio is on a list on the scanner's stack without a reference when the last put unlinks it.",
    ),
    bug(
        "B24",
        "uncharge before unqueue",
        "6.9-rc",
        checks=("warning", "list ownership"),
        mutant=QueueB24,
        fixed=SplitQueue,
        setup=_final_put,
        about="Without its cgroup the folio's queue is taken to be the node's.",
    ),
    bug(
        "B27",
        "swapout clears memcg_data while queued",
        "5.4 to 6.11 (CVE-2024-53079)",
        checks=("warning", "list ownership"),
        mutant=SplitQueue,
        fixed=SplitQueue,
        setup=_swapout(unqueue=False),
        fixed_setup=_swapout(unqueue=True),
        about="The folio is uncharged while it is linked; its later unqueue locks the node's queue.",
    ),
    bug(
        "B28",
        "charge moved while queued",
        "5.4 to 6.11, memcg-v1",
        checks="list ownership",
        mutant=SplitQueue,
        fixed=SplitQueue,
        setup=_charge_move(skip_queued=False),
        fixed_setup=_charge_move(skip_queued=True),
        about="The folio stays on the queue of the cgroup that it left; its unqueue locks the other's.",
    ),
    bug(
        "B29",
        "non-atomic partially_mapped flag",
        "6.12",
        checks="plain rmw",
        mutant=QueueB29,
        fixed=ListLruQueue,
        setup=_partial_unmap_hwpoison,
        cpus=2,
        about="A plain load and store of the flag word undoes a hwpoison bit that was set between them.",
    ),
    bug(
        "B32",
        "the dying flag must be ordered with the queue lock",
        "drafts of the 2025 reparenting series",
        checks=("invariants", "list ownership"),
        mutant=QueueB32,
        fixed=SplitQueueReparented,
        setup=case_named("add-offline"),
        about="The flag is read before the lock is taken; the queue is handed over between.",
    ),
    bug(
        "B34",
        "migration loses queue state",
        "before 8a8ca142a488",
        checks="invariants",
        mutant=QueueB34,
        fixed=ListLruQueue,
        setup=_migrate_queued,
        nodes=2,
        about="A partially mapped huge page is never queued again after it has moved.",
    ),
    bug(
        "B45",
        "order-1 folio queued",
        "guarded against everywhere",
        checks=("postcondition", "invariants"),
        mutant=QueueB45,
        fixed=ListLruQueue,
        setup=_order_one,
        about="An order-1 folio has no second tail page, where the links would be.",
    ),
)
