# SPDX-License-Identifier: GPL-2.0-only
"""Each kind of damage is found, and what is right is left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.mm.small import UPPER, folio_at, halved, mmap, small_machine, start, touched
from thplab.cpu.hook import H
from thplab.cpu.list_head import ListHead, list_add_tail, list_del_init
from thplab.cpu.rcu import GracePeriod
from thplab.designs.list_lru import ListLruQueue
from thplab.designs.split_queue import SplitQueue
from thplab.mm.invariants import check
from thplab.mm.list_lru import DEAD, ListLru, ListLruOne
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import CSS_ONLINE, MemCgroup, ObjCgroup
from thplab.mm.mm_types import PG_PARTIALLY_MAPPED, BasePages, Folio, PteMap


def busy(design: str = "list_lru") -> Machine:
    """Partially mapped huge pages, base pages, a fork, and a cgroup within another."""
    machine = small_machine(design)
    machine.memcg.create("/a")
    task = start(machine, "task", "/a/b")
    halved(machine, task, 2)
    touched(machine, task, 1, 1, "whole")
    base = mmap(machine, task, 1, 0, "base", "nohugepage")
    machine.memory.touch(task, base, 0, 0b111, False)
    machine.fork(task, "child")
    assert check(machine) == []
    return machine


def job(machine: Machine) -> MemCgroup:
    """The cgroup with memory."""
    return machine.memcg.by_path["/a/b"]


def halved_folio(machine: Machine) -> Folio:
    """A queued one."""
    return folio_at(machine.tasks["task"].mm.vmas["memory"], 0)


def base_pages(machine: Machine) -> BasePages:
    """The three base pages."""
    entry = machine.tasks["task"].mm.vmas["base"].slots[0]
    assert isinstance(entry, PteMap)
    assert isinstance(entry.owner, BasePages)
    return entry.owner


def entry_of(machine: Machine) -> PteMap:
    """The entries of the first halved huge page."""
    entry = machine.tasks["task"].mm.vmas["memory"].slots[0]
    assert isinstance(entry, PteMap)
    return entry


def the_lru(machine: Machine) -> ListLru:
    """That of the design."""
    queue = machine.deferred_split
    assert isinstance(queue, ListLruQueue)
    return queue.the_lru()


def sublist(machine: Machine, path: str = "/a/b", nid: int = 0) -> ListLruOne:
    """The list of a cgroup."""
    one = the_lru(machine).from_memcg_idx(nid, machine.memcg.by_path[path].kmemcg_id)
    assert one is not None
    return one


Damage = Callable[[Machine], object]


def mm_counter(machine: Machine) -> None:
    machine.tasks["task"].mm.nr_anon += 1


def two_entries(machine: Machine) -> None:
    entry = entry_of(machine)
    entry.next = PteMap(None, entry.mask, None)


def migration_entry(machine: Machine) -> None:
    entry_of(machine).migrating = True


def beyond(machine: Machine) -> None:
    machine.tasks["task"].mm.vmas["memory"].gone[0] = 1


def pmds(machine: Machine) -> None:
    folio_at(machine.tasks["task"].mm.vmas["whole"], 0).entire_mapcount = 1


def references(machine: Machine) -> None:
    halved_folio(machine).get()


def freed(machine: Machine) -> None:
    base_pages(machine).poison()


def mapcounts(machine: Machine) -> None:
    base_pages(machine).more_mapped = None


def uncharged(machine: Machine) -> None:
    base_pages(machine).objcg = None


def scattered(machine: Machine) -> None:
    machine.pages.nodes[0].fragmented = -1


def node_counter(machine: Machine) -> None:
    machine.pages.nodes[1].nr_anon_thps -= 1


def page_counter(machine: Machine) -> None:
    machine.memcg.by_path["/a"].memory.usage += 5


def cgroup_counter(machine: Machine) -> None:
    job(machine).nodeinfo[0].nr_lru += 1


def foreign_objcg(machine: Machine) -> None:
    machine.memcg.by_path["/a"].nodeinfo[0].objcgs[objcg_of(machine)] = None


def objcg_of(machine: Machine) -> ObjCgroup:
    objcg = job(machine).nodeinfo[0].objcg
    assert objcg is not None
    return objcg


def other_nodes_objcg(machine: Machine) -> None:
    """get_migration_objcg() prevents it."""
    halved_folio(machine).objcg = job(machine).nodeinfo[1].objcg


def objcg_reference(machine: Machine) -> None:
    objcg_of(machine).get()


def css_reference(machine: Machine) -> None:
    job(machine).get()


def tasks_of_a_cgroup(machine: Machine) -> None:
    job(machine).nr_tasks -= 1


def partially_mapped_counter(machine: Machine) -> None:
    halved_folio(machine).clear_flag(PG_PARTIALLY_MAPPED)


def not_queued(machine: Machine) -> None:
    """B34: nothing will ever split it."""
    one, _ = the_lru(machine).lock_irq(0, job(machine))
    the_lru(machine).del_locked(one, halved_folio(machine), 0)
    the_lru(machine).unlock_irq(one)


def linked_elsewhere(machine: Machine) -> None:
    folio = halved_folio(machine)
    list_del_init(folio)
    list_add_tail(folio, ListHead())


def wrong_node(machine: Machine) -> None:
    folio = halved_folio(machine)
    list_del_init(folio)
    list_add_tail(folio, sublist(machine, nid=1))


def wrong_cgroup(machine: Machine) -> None:
    folio = halved_folio(machine)
    list_del_init(folio)
    list_add_tail(folio, sublist(machine, "/a"))


def stranger(machine: Machine) -> None:
    list_add_tail(Folio(9, 0), sublist(machine))


def list_length(machine: Machine) -> None:
    sublist(machine).nr_items += 1


def list_total(machine: Machine) -> None:
    the_lru(machine).node[0].nr_items.value += 1


def dead_list(machine: Machine) -> None:
    sublist(machine).nr_items = DEAD


def no_bit(machine: Machine) -> None:
    """B06."""
    info = job(machine).nodeinfo[0].shrinker_info
    assert info is not None
    info.unit[0].clear_bit(machine.deferred_split.id)


def lists_of_nobody(machine: Machine) -> None:
    machine.memcg.by_id[job(machine).kmemcg_id] = None


def lists_of_the_offline(machine: Machine) -> None:
    job(machine).clear_flag(CSS_ONLINE)


def backward_link(machine: Machine) -> None:
    folio = halved_folio(machine)
    assert folio.next is not None
    folio.next.prev = sublist(machine)


def grace_period(machine: Machine) -> None:
    machine.rcu.pending.append(GracePeriod([], None))


def shrinker_call(machine: Machine) -> None:
    assert machine.deferred_split.refs.try_get()


FOUND: list[tuple[Damage, str]] = [
    (mm_counter, "task task: MM_ANONPAGES is"),
    (two_entries, "task.memory slot 0: a page has two entries"),
    (migration_entry, "task.memory slot 0: migration entries were left behind"),
    (beyond, "task.memory slot 0: pages outside of the region are mapped"),
    (pmds, "entire_mapcount 1, 2 PMDs"),
    (references, "0 PMDs, 512 entries and 0 others refer to it"),
    (freed, "is mapped, and was freed"),
    (mapcounts, "the mapping counts are not those of the page tables"),
    (uncharged, "is charged to nobody"),
    (scattered, "node 0: -1 of"),
    (node_counter, "node 1: NR_ANON_MAPPED 512, NR_ANON_THPS 511"),
    (page_counter, "memcg /a: 1544 pages charged, 1539 in use"),
    (cgroup_counter, "memcg /a/b node 0: anon, thp, lru are"),
    (foreign_objcg, "objcg /a/b node 0 is on the list of memcg /a, node 0"),
    (other_nodes_objcg, "is charged through objcg /a/b node 1, of another node"),
    (objcg_reference, "objcg /a/b node 0 has 5 references, should have 4"),
    (css_reference, "memcg /a/b has 3 references, should have 2"),
    (tasks_of_a_cgroup, "memcg /a/b: 1 tasks, has 2"),
    (partially_mapped_counter, "nr_anon_partially_mapped of order 9 is 2, 1 folios are flagged"),
    (partially_mapped_counter, "is partially mapped, and not flagged"),
    (not_queued, "is partially mapped, and not queued: nothing will split it"),
    (linked_elsewhere, "is linked, and on no list of the queue"),
    (wrong_node, "of another node"),
    (wrong_cgroup, "of another cgroup"),
    (stranger, "which is in nobody's memory"),
    (list_length, "has 2 entries"),
    (list_total, "list_lru: node 0 counts 3 entries, its lists have 2"),
    (dead_list, "is dead and has 2 entries"),
    (no_bit, "/a/b has no shrinker bit for node 0"),
    (lists_of_nobody, "belong to no cgroup that has it"),
    (lists_of_the_offline, "/a/b is offline and still has lists"),
    (backward_link, "does not point back"),
    (grace_period, "1 grace periods have not ended"),
    (shrinker_call, "shrinker thp-deferred_split has 2 references, idle"),
]


@pytest.mark.parametrize(
    ("damage", "text"),
    FOUND,
    ids=[f"{damage.__name__}-{index}" for index, (damage, _) in enumerate(FOUND)],
)
def test_damage_is_found(damage: Damage, text: str) -> None:
    machine = busy()
    machine.huge_memory.thp.shrink_underused = False
    damage(machine)
    wrong = check(machine)
    assert any(text in sentence for sentence in wrong), wrong


def queue_of(machine: Machine) -> SplitQueue:
    """The design of 6.12."""
    queue = machine.deferred_split
    assert isinstance(queue, SplitQueue)
    return queue


def test_damage_of_the_old_queue_is_found() -> None:
    machine = busy("split_queue")
    mine = queue_of(machine).queue_of(job(machine), 0)
    mine.split_queue_len += 1
    assert check(machine) == [f"{mine!r} counts 4 entries and has 3"]
    mine.split_queue_len -= 1
    info = job(machine).nodeinfo[1].shrinker_info
    assert info is not None
    info.unit[0].clear_bit(machine.deferred_split.id)
    assert check(machine) == [f"{mine!r} is not empty, and /a/b has no shrinker bit for node 1"]


def test_a_dead_queue_that_was_not_handed_over_is_found() -> None:
    machine = busy("split_queue_reparented")
    for task in machine.tasks.values():
        machine.move_task(task, machine.memcg.root)
    memcg = job(machine)
    machine.memcg.rmdir(memcg)
    assert check(machine) == []
    folio = halved_folio(machine)
    list_del_init(folio)
    list_add_tail(folio, queue_of(machine).queue_of(memcg, 0))
    assert any("is dead and has 1 entries" in sentence for sentence in check(machine))


@pytest.mark.parametrize("held", ["lock", "rcu", "irqs"])
def test_what_a_cpu_still_holds_is_found(held: str) -> None:
    machine = busy()
    cpu = H.cpu
    cpu.locks_held, cpu.rcu_nesting, cpu.irqs_on = (
        int(held == "lock"),
        int(held == "rcu"),
        held != "irqs",
    )
    wrong = check(machine)
    cpu.locks_held, cpu.rcu_nesting, cpu.irqs_on = 0, 0, True
    assert len(wrong) == 1
    assert wrong[0].startswith("CPU0: ")
    assert check(machine) == []


def test_references_of_the_caller_are_allowed() -> None:
    machine = busy()
    folio = halved_folio(machine)
    folio.get(2)
    assert check(machine, [folio, folio]) == []
    assert len(check(machine, [folio])) == 1
    for task in list(machine.tasks.values()):
        machine.exit(task)
    assert check(machine, [folio, folio]) == []
    assert folio.page_mapped_mask() & UPPER == 0


def test_without_the_memory_controller_nothing_needs_a_charge() -> None:
    machine = small_machine(memcg="disabled")
    halved(machine, start(machine), 2)
    assert check(machine) == []
