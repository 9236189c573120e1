# SPDX-License-Identifier: GPL-2.0-only
"""Moving memory between nodes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.mm.small import (
    HUGE,
    LOWER,
    UPPER,
    event,
    fill,
    folio_at,
    halved,
    mmap,
    mthp,
    small_machine,
    start,
    touched,
)
from thplab.cpu.hook import Watcher, attach, detach
from thplab.cpu.ops import REF_FREEZE, RMW
from thplab.mm.census import census
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_LOCKED, PG_MLOCKED, PG_PARTIALLY_MAPPED, Folio, Task
from thplab.mm.shrinker import ShrinkControl

DESIGNS = ["split_queue", "split_queue_reparented", "list_lru"]


def migrate(machine: Machine, folio: Folio, nid: int) -> bool:
    """migrate_folio() takes over a reference of the caller."""
    folio.get()
    return machine.migration.migrate_folio(folio, nid)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_whole_huge_page_moves_whole_and_stays_queued(design: str) -> None:
    """8a8ca142a488: its successor waits on the list of the new node."""
    machine = small_machine(design)
    task = start(machine)
    vma = touched(machine, task, 1, mask=LOWER)
    old = folio_at(vma, 0)
    old.set_flag(PG_MLOCKED)
    machine.migration.move_slot(vma, 0, 1, 1)
    new = folio_at(vma, 0)
    assert old.is_freed()
    assert (new.nid, new.zeros, new.refcount) == (1, UPPER, 1)
    assert new.flags & (PG_MLOCKED | PG_LOCKED | PG_PARTIALLY_MAPPED) == PG_MLOCKED
    assert vma.slots[0] is new
    assert [pernode.nr_anon_thps for pernode in task.memcg.nodeinfo] == [0, HUGE]
    assert machine.deferred_split.count_objects(ShrinkControl(1, task.memcg)) == 1
    assert event(machine, "thp_migration_success") == 1
    assert event(machine, "thp_deferred_split_page") == 0
    assert mthp(machine, "nr_anon") == 1
    assert task.memcg.memory.usage == HUGE
    assert check(machine) == []


@pytest.mark.parametrize("design", DESIGNS)
def test_one_that_waits_to_be_split_is_split_and_its_pages_move(design: str) -> None:
    machine = small_machine(design)
    task = start(machine)
    vma = halved(machine, task, 1)
    machine.migration.move_slot(vma, 0, 1, 1)
    found = census(vma, 2)
    assert (found.huge, found.base) == ([0, 0], [0, 256])
    assert event(machine, "thp_split_page") == event(machine, "thp_migration_split") == 1
    assert event(machine, "thp_migration_fail") == 1
    assert event(machine, "thp_migration_success") == 0
    assert check(machine) == []


def test_of_a_slot_the_pages_beside_the_split_folio_move_only_if_they_are_meant(
    machine: Machine, task: Task
) -> None:
    """The task has written to 256 pages that it had discarded before; half of these are in the range."""
    vma = halved(machine, task, 1)
    machine.memory.touch(task, vma, 0, UPPER, False)
    beyond = FULL_MASK & ~((1 << 384) - 1)
    assert machine.migration.move_slot(vma, 0, LOWER | beyond, 1)
    assert census(vma, 2).base == [128, 384]
    assert check(machine) == []


def test_the_first_page_of_a_split_folio_moves_last(machine: Machine, task: Task) -> None:
    """try_split_folio() puts it behind the others, and the node has room for 300."""
    vma = touched(machine, task, 1)
    node = machine.pages.nodes[1]
    taken = node.take(0, node.free - node.wmark_min - 300, 0)
    node.fragmented = node.free
    assert machine.migration.move_slot(vma, 0, FULL_MASK, 1)
    found = census(vma, 2)
    assert (found.base, found.split) == ([212, 300], [1, 0])
    node.give(taken)
    assert check(machine) == []


def test_what_is_there_already_or_not_meant_stays(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 2)
    before = [folio_at(vma, slot) for slot in range(2)]
    machine.migration.move_slot(vma, 0, FULL_MASK, 0)
    machine.migration.move_slot(vma, 1, 0, 1)
    assert [folio_at(vma, slot) for slot in range(2)] == before
    machine.memory.zap(vma, 0, UPPER)
    machine.migration.move_slot(vma, 0, UPPER, 1)
    assert folio_at(vma, 0) is before[0]
    machine.migration.move_slot(mmap(machine, task, 1, name="empty"), 0, FULL_MASK, 1)


def test_a_shared_huge_page_stays_and_moves_only_by_itself_for_all_who_map_it(
    machine: Machine, task: Task
) -> None:
    """move_pages(2) with MPOL_MF_MOVE: -EACCES. Others who migrate, as compaction does, do not ask."""
    vma = touched(machine, task, 1)
    child = machine.fork(task, "child")
    assert machine.migration.move_slot(vma, 0, FULL_MASK, 1)
    machine.memory.zap(vma, 0, UPPER)
    assert machine.migration.move_slot(vma, 0, LOWER, 1)
    assert folio_at(vma, 0).nid == 0
    assert migrate(machine, folio_at(vma, 0), 1)
    new = folio_at(vma, 0)
    assert new.nid == 1
    assert child.mm.vmas["memory"].slots[0] is new
    assert (new.entire_mapcount, new.mapped, new.refcount) == (1, LOWER, 257)


def test_entries_are_unmapped_one_by_one_so_the_successor_counts_as_partially_mapped(
    machine: Machine, task: Task
) -> None:
    """try_to_migrate_one(): from the first entry on the old folio looks partly mapped."""
    machine.huge_memory.thp.shrink_underused = False
    vma = touched(machine, task, 1)
    machine.huge_memory.split_huge_pmd(vma, 0, folio_at(vma, 0))
    machine.migration.move_slot(vma, 0, 1, 1)
    new = folio_at(vma, 0)
    assert new.nid == 1
    assert new.flags & PG_PARTIALLY_MAPPED
    assert mthp(machine, "nr_anon_partially_mapped") == 1


@pytest.mark.parametrize("part", [FULL_MASK, LOWER], ids=["pmd", "ptes"])
def test_a_reference_of_somebody_else_leaves_it_where_it_is(part: int) -> None:
    machine = small_machine()
    task = start(machine)
    vma = touched(machine, task, 1)
    machine.memory.zap(vma, 0, FULL_MASK & ~part)
    folio = folio_at(vma, 0)
    folio.get()
    machine.migration.move_slot(vma, 0, FULL_MASK, 1)
    assert folio_at(vma, 0) is folio
    assert folio.nid == 0
    assert not folio.flags & PG_LOCKED
    assert event(machine, "thp_migration_success") == 0
    assert machine.pages.nodes[1].free == machine.pages.nodes[1].managed
    assert check(machine, [folio]) == []


def test_one_that_is_locked_or_too_small_by_now_is_left(machine: Machine, task: Task) -> None:
    vma = halved(machine, task, 1)
    folio = folio_at(vma, 0)
    assert folio.trylock()
    machine.migration.move_slot(vma, 0, FULL_MASK, 1)
    assert folio_at(vma, 0) is folio
    folio.unlock()
    folio.get()
    assert folio.trylock()
    assert machine.huge_memory.split_folio(folio)
    folio.unlock()
    assert not machine.migration.migrate_folio(folio, 1)
    assert folio.is_freed()
    assert machine.pages.nodes[1].free == machine.pages.nodes[1].managed


def test_a_huge_page_without_room_is_split_and_its_pages_move_as_far_as_there_is_room() -> None:
    """-ENOMEM in migrate_pages_batch(). It ends the call only for a page that was no piece of a split one."""
    machine = small_machine()
    task = start(machine)
    vma = touched(machine, task, 3)
    base = mmap(machine, task, 1, 0, "base", "nohugepage")
    machine.memory.touch(task, base, 0, LOWER, False)
    node = machine.pages.nodes[1]
    taken = node.take(0, node.free - node.wmark_min - 700, 0)
    node.fragmented = node.free
    for slot in range(2):
        assert machine.migration.move_slot(vma, slot, FULL_MASK, 1)
    found = census(vma, 2)
    assert (found.huge, found.base) == ([1, 0], [1024 - 700, 700])
    for name in ("thp_split_page", "thp_migration_split", "thp_migration_fail"):
        assert event(machine, name) == 2, name
    assert not machine.migration.move_slot(base, 0, FULL_MASK, 1)
    assert census(base, 2).base == [256, 0]
    assert machine.oom.killed == []
    node.give(taken)
    assert check(machine) == []


def test_one_that_cannot_be_split_either_ends_the_call() -> None:
    machine = small_machine()
    task = start(machine)
    vma = touched(machine, task, 1)
    node = machine.pages.nodes[1]
    node.take(0, node.free, 0)
    folio_at(vma, 0).get()
    assert not machine.migration.move_slot(vma, 0, FULL_MASK, 1)
    assert census(vma, 2).huge == [1, 0]
    assert event(machine, "thp_migration_fail") == 1
    assert event(machine, "thp_migration_split") == 0


class LettingGo(Watcher):
    """Has somebody else let go of a folio when it is asked for the nth time."""

    def __init__(self, op: int, folio: Folio, times: int, let_go: Callable[[], None]) -> None:
        super().__init__()
        self.op = op
        self.folio = folio
        self.times = times
        self.let_go = let_go

    def point(self, op: int, obj: object) -> None:
        if op == self.op and obj is self.folio:
            self.times -= 1
            if self.times == 0:
                self.let_go()


@pytest.mark.parametrize(("times", "moves"), [(1, True), (4, True), (10, True), (11, False)])
@pytest.mark.parametrize("what", ["lock", "reference"])
def test_who_lets_go_within_ten_passes_does_not_stop_a_migration(
    what: str, times: int, moves: bool
) -> None:
    """NR_MAX_MIGRATE_PAGES_RETRY: three passes, and seven more."""
    machine = small_machine()
    task = start(machine)
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    if what == "lock":
        assert folio.trylock()
        watcher = LettingGo(RMW, folio, times, lambda: folio.clear_flag(PG_LOCKED))
    else:
        folio.get()
        watcher = LettingGo(
            REF_FREEZE, folio, times, lambda: setattr(folio, "refcount", folio.refcount - 1)
        )
    attach(watcher)
    machine.migration.move_slot(vma, 0, FULL_MASK, 1)
    detach()
    assert census(vma, 2).huge == ([0, 1] if moves else [1, 0])
    assert event(machine, "thp_migration_success") == moves


def test_base_pages_move_and_are_charged_as_before(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, LOWER, False)
    machine.migration.move_slot(vma, 0, 0xFF, 1)
    assert census(vma, 2).base == [248, 8]
    assert task.memcg.memory.usage == 256
    assert [pernode.nr_lru for pernode in task.memcg.nodeinfo] == [248, 8]
    machine.migration.move_slot(vma, 0, FULL_MASK, 1)
    assert census(vma, 2).base == [0, 256]


def test_base_pages_that_another_task_maps_too_stay(machine: Machine, task: Task) -> None:
    vma = mmap(machine, task, 1, thp="nohugepage")
    machine.memory.touch(task, vma, 0, 0b1111, False)
    child = machine.fork(task, "child")
    machine.memory.zap(child.mm.vmas["memory"], 0, 0b0011)
    machine.migration.move_slot(vma, 0, FULL_MASK, 1)
    assert census(vma, 2).base == [2, 2]


def test_without_the_memory_controller_memory_moves_as_well() -> None:
    machine = small_machine(memcg="disabled")
    task = start(machine)
    vma = touched(machine, task, 1)
    base = mmap(machine, task, 1, 0, "base", "nohugepage")
    machine.memory.touch(task, base, 0, 1, False)
    for region in (vma, base):
        machine.migration.move_slot(region, 0, FULL_MASK, 1)
    assert census(vma, 2).huge == [0, 1]
    assert census(base, 2).base == [0, 1]
    assert check(machine) == []


def test_a_charge_that_moves_while_the_folio_is_queued_is_complained_about(
    warnings_of: dict[str, int],
) -> None:
    """mem_cgroup_migrate() comes after the folio was unqueued, with its references frozen."""
    machine = small_machine()
    task = start(machine)
    src = folio_at(halved(machine, task, 1), 0)
    dst = Folio(9, 1, 0)
    references = src.refcount
    assert src.ref_freeze(references)
    machine.migration.mem_cgroup_migrate(src, dst)
    assert (src.next, src.objcg) == (None, None)
    assert dst.objcg is task.memcg.nodeinfo[1].objcg
    assert list(warnings_of) == [
        "WARNING: mem_cgroup_migrate(): the folio was still queued for splitting"
    ]


def test_a_folio_without_an_anon_vma_moves_too() -> None:
    machine = small_machine(None)
    folio = Folio(9, 0)
    assert machine.pages.alloc_huge(9, 0, None, 0) == 0
    assert migrate(machine, folio, 1) is False, "the reference that we hold"
    assert machine.migration.migrate_folio(folio, 1)
    assert check(machine) == []
    task = start(machine)
    assert not fill(machine, task, 0)
