# SPDX-License-Identifier: GPL-2.0-only
"""list_lru: heads on demand, reparenting, and the bits of the shrinkers."""

from __future__ import annotations

import pytest

from tests.mm.small import FailingWatcher, cgroup, entries, small_machine
from thplab.cpu.errors import UseAfterFree
from thplab.cpu.hook import H, Watcher, attach, detach
from thplab.cpu.list_head import ListHead
from thplab.mm.deferred_split import NoQueue
from thplab.mm.gfp import GFP_KERNEL
from thplab.mm.invariants import check, check_list_lru
from thplab.mm.list_lru import DEAD, ListLru
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup, memcg_kmem_id
from thplab.mm.mm_types import Folio
from thplab.mm.shrinker import (
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NUMA_AWARE,
    Shrinker,
)


def bit(machine: Machine, memcg: MemCgroup, nid: int, shrinker: Shrinker) -> bool:
    """Whether reclaim of (memcg, nid) will ask the shrinker."""
    return machine.shrinkers.test_shrinker_bit(memcg, nid, shrinker.id)


def aware(machine: Machine) -> tuple[ListLru, Shrinker]:
    """A memcg-aware list_lru with a shrinker."""
    shrinker = NoQueue(machine)
    machine.shrinkers.alloc(shrinker)
    return ListLru(machine, True, shrinker), shrinker


def charged_folio(machine: Machine, memcg: MemCgroup, nid: int = 0) -> Folio:
    """A huge page that is charged to the cgroup, and mapped by nobody."""
    assert machine.pages.alloc_huge(9, nid, [nid], 0) == nid
    folio = Folio(9, nid)
    assert machine.charges.charge_folio(folio, memcg, GFP_KERNEL, None)
    return folio


# Heads on demand


def test_heads_are_made_for_all_ancestors_farthest_first() -> None:
    machine = small_machine(None)
    for path in ("/a", "/a/b", "/a/b/c"):
        cgroup(machine, path)
    lru, _ = aware(machine)
    made: list[str] = []

    class Noting(Watcher):
        def fails(self, what: str) -> bool:
            made.append(f"{what} after {[index for index, _ in lru.xa.entries()]}")
            return False

    attach(Noting())
    assert lru.memcg_list_lru_alloc(machine.memcg.by_path["/a/b/c"])
    detach()
    assert made == [
        "list_lru_memcg after []",
        "list_lru_memcg after [0]",
        "list_lru_memcg after [0, 1]",
    ]
    assert [index for index, _ in lru.xa.entries()] == [0, 1, 2]


def test_heads_are_made_once() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, _ = aware(machine)
    lru.memcg_list_lru_alloc(job)
    block = lru.xa.load(job.kmemcg_id)
    watcher = FailingWatcher("list_lru_memcg")
    attach(watcher)
    assert lru.memcg_list_lru_alloc(job)
    detach()
    assert watcher.asked == []
    assert lru.xa.load(job.kmemcg_id) is block


@pytest.mark.parametrize("which", [0, 1])
def test_no_memory_for_heads_is_told_and_what_was_made_stays(which: int) -> None:
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru, _ = aware(machine)

    class Failing(Watcher):
        calls = 0

        def fails(self, what: str) -> bool:
            self.calls += 1
            return what == "list_lru_memcg" and self.calls == which + 1

    attach(Failing())
    assert not lru.memcg_list_lru_alloc(child)
    detach()
    assert lru.memcg_allocated(parent) is (which == 1)
    assert not lru.memcg_allocated(child)
    assert lru.memcg_list_lru_alloc(child)
    assert check_list_lru(machine, lru) == []


def test_a_dying_cgroup_gets_no_heads() -> None:
    """Its reparenting may have passed already: nobody would ever move what is added there."""
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru, _ = aware(machine)
    machine.memcg.kill(child)
    assert lru.memcg_list_lru_alloc(child)
    assert lru.memcg_allocated(parent)
    assert not lru.memcg_allocated(child)


def test_heads_are_not_made_below_a_dying_ancestor() -> None:
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru, _ = aware(machine)
    machine.memcg.kill(child)
    machine.memcg.offline(child)
    machine.memcg.kill(parent)
    assert lru.memcg_list_lru_alloc(child)
    assert lru.xa.entries() == []


def test_the_slower_of_two_makers_drops_its_block() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, _ = aware(machine)
    first: list[object] = []

    class Faster(Watcher):
        """Somebody else makes the heads while we allocate ours."""

        def fails(self, what: str) -> bool:
            if not first:
                first.append(None)
                detach()
                assert lru.memcg_list_lru_alloc(job)
                first[0] = lru.xa.load(job.kmemcg_id)
                attach(self)
            return False

    attach(Faster())
    assert lru.memcg_list_lru_alloc(job)
    detach()
    assert lru.xa.load(job.kmemcg_id) is first[0]


def test_a_folio_has_heads_made_for_its_own_cgroup() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, _ = aware(machine)
    folio = charged_folio(machine, job)
    refs = job.refcount
    assert lru.folio_memcg_list_lru_alloc(folio)
    assert lru.memcg_allocated(job)
    assert job.refcount == refs
    assert lru.folio_memcg_list_lru_alloc(folio)
    attach(FailingWatcher("list_lru_memcg"))
    other = charged_folio(machine, cgroup(machine, "/other"))
    assert not lru.folio_memcg_list_lru_alloc(other)
    detach()
    assert machine.memcg.by_path["/other"].refcount == 2
    assert ListLru(machine).folio_memcg_list_lru_alloc(other)
    for spare in (folio, other):
        machine.lru.folio_put(spare)
    assert check(machine) == []


# Objects that know their own place


def test_an_object_is_added_on_its_own_node_for_its_own_cgroup() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, _ = aware(machine)
    folio = charged_folio(machine, job, 1)
    lru.folio_memcg_list_lru_alloc(folio)
    assert lru.add_obj(folio)
    assert not lru.add_obj(folio)
    assert lru.count_one(1, job) == 1
    assert lru.del_obj(folio)
    assert not lru.del_obj(folio)
    assert lru.count_node(1) == 0
    plain = ListLru(machine)
    assert plain.add_obj(folio)
    assert plain.count_one(1, None) == 1
    assert plain.del_obj(folio)


# The shrinker's bit


def test_the_first_entry_sets_the_bit_of_its_node_and_no_removal_clears_it() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, shrinker = aware(machine)
    lru.memcg_list_lru_alloc(job)
    item = ListHead()
    lru.add(item, 1, job)
    assert [bit(machine, job, nid, shrinker) for nid in (0, 1)] == [False, True]
    lru.delete(item, 1, job)
    assert bit(machine, job, 1, shrinker)


def test_the_bit_is_set_on_the_owner_of_the_list_not_on_the_dying_cgroup() -> None:
    """B06, fixed by 79a031583ca5."""
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru, shrinker = aware(machine)
    lru.memcg_list_lru_alloc(child)
    machine.memcg.kill(child)
    machine.list_lrus.reparent(child, parent)
    lru.add(ListHead(), 0, child)
    assert bit(machine, parent, 0, shrinker)
    assert not bit(machine, child, 0, shrinker)
    assert check_list_lru(machine, lru) == []


def test_a_shrinker_that_did_not_become_memcg_aware_gives_no_id() -> None:
    """0, which is a valid id, would be another's (B10)."""
    machine = small_machine(None, memcg="nokmem")
    job = cgroup(machine)
    lru, shrinker = aware(machine)
    assert shrinker.id == -1
    assert lru.shrinker_id == -1
    assert lru.add(ListHead(), 0, job)
    assert ListLru(machine).shrinker_id == -1


# Reparenting


def test_reparented_items_keep_their_node() -> None:
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru, _ = aware(machine)
    lru.memcg_list_lru_alloc(child)
    for nid, count in ((0, 2), (1, 3)):
        for _ in range(count):
            lru.add(ListHead(), nid, child)
    machine.memcg.rmdir(child)
    assert [lru.count_one(nid, parent) for nid in (0, 1)] == [2, 3]
    assert [lru.count_node(nid) for nid in (0, 1)] == [2, 3]
    assert check_list_lru(machine, lru) == []


def test_reparented_items_come_before_the_parents_own() -> None:
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru, _ = aware(machine)
    lru.memcg_list_lru_alloc(child)
    old, mine = [ListHead(), ListHead()], [ListHead(), ListHead()]
    for item in old:
        lru.add(item, 0, parent)
    for item in mine:
        lru.add(item, 0, child)
    machine.memcg.rmdir(child)
    one = lru.from_memcg_idx(0, parent.kmemcg_id)
    assert one is not None
    assert entries(one) == [*mine, *old]


@pytest.mark.parametrize("before", [0, 1])
def test_reparenting_sets_the_parents_bit_even_if_its_list_was_not_empty(before: int) -> None:
    """B21: a concurrent reclaim may be about to clear it."""
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru, shrinker = aware(machine)
    lru.memcg_list_lru_alloc(child)
    for _ in range(before):
        lru.add(ListHead(), 0, parent)
    info = parent.nodeinfo[0].shrinker_info
    assert info is not None
    info.unit[0].clear_bit(shrinker.id)
    lru.add(ListHead(), 0, child)
    machine.memcg.rmdir(child)
    assert bit(machine, parent, 0, shrinker)


def test_reparenting_nothing_sets_no_bit() -> None:
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru, shrinker = aware(machine)
    lru.memcg_list_lru_alloc(child)
    machine.memcg.rmdir(child)
    assert not bit(machine, parent, 0, shrinker)


def test_reparented_lists_are_dead_and_their_block_goes_after_a_grace_period() -> None:
    machine = small_machine(None)
    child = cgroup(machine, "/a")
    lru, _ = aware(machine)
    lru.memcg_list_lru_alloc(child)
    block = lru.xa.load(child.kmemcg_id)
    assert block is not None
    machine.memcg.kill(child)
    machine.rcu.read_lock()
    machine.list_lrus.mutex.owner = None
    lru.reparent_node(0, block.node[0], machine.memcg.root)
    lru.reparent_node(1, block.node[1], machine.memcg.root)
    lru.xa.lock.lock_irq()
    lru.xa.erase(child.kmemcg_id)
    lru.xa.lock.unlock_irq()
    machine.rcu.call(block)
    assert [one.nr_items for one in block.node] == [DEAD, DEAD]
    assert not block.freed
    machine.rcu.read_unlock()
    assert block.freed


def test_a_cgroup_without_lists_is_reparented_in_no_time() -> None:
    machine = small_machine(None)
    child = cgroup(machine, "/a")
    lru, _ = aware(machine)
    machine.memcg.rmdir(child)
    assert lru.xa.entries() == []


def test_a_negative_count_is_complained_about(warnings_of: dict[str, int]) -> None:
    """B43: it used to be accepted."""
    machine = small_machine(None)
    child = cgroup(machine, "/a")
    lru, _ = aware(machine)
    lru.memcg_list_lru_alloc(child)
    one = lru.from_memcg_idx(0, child.kmemcg_id)
    assert one is not None
    one.nr_items = -1
    assert lru.count_one(0, child) == 0
    machine.memcg.rmdir(child)
    assert "WARNING: list_lru: list_lru_one(/a, node 0, -1) has a negative count" in warnings_of


def test_an_id_that_is_used_again_begins_with_no_lists() -> None:
    machine = small_machine(None)
    lru, _ = aware(machine)
    first = cgroup(machine, "/a")
    lru.memcg_list_lru_alloc(first)
    lru.add(ListHead(), 0, first)
    old_id = first.kmemcg_id
    machine.memcg.rmdir(first)
    with pytest.raises(UseAfterFree, match="kmemcg_id of a freed cgroup"):
        memcg_kmem_id(first)
    second = cgroup(machine, "/a")
    assert second.kmemcg_id == old_id
    assert not lru.memcg_allocated(second)
    assert lru.count_one(0, second) == 0
    assert lru.count_one(0, None) == 1


def test_every_list_lru_of_the_machine_is_reparented() -> None:
    machine = small_machine(None)
    child = cgroup(machine, "/a")
    lrus = [aware(machine)[0] for _ in range(3)]
    for lru in lrus:
        lru.memcg_list_lru_alloc(child)
        lru.add(ListHead(), 0, child)
    machine.memcg.rmdir(child)
    assert [lru.count_one(0, None) for lru in lrus] == [1, 1, 1]


def test_a_watched_list_lru_does_the_same(watched: Watcher) -> None:
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    shrinker = Shrinker("watched", SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE)
    machine.shrinkers.alloc(shrinker)
    lru = ListLru(machine, True, shrinker)
    lru.memcg_list_lru_alloc(child)
    item = ListHead()
    assert lru.add(item, 0, child)
    assert lru.delete(item, 0, child)
    assert lru.add(item, 0, child)
    machine.memcg.rmdir(child)
    assert lru.count_one(0, parent) == 1
    assert H.watcher is watched
    assert check_list_lru(machine, lru) == []
