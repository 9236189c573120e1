# SPDX-License-Identifier: GPL-2.0-only
"""list_lru: adding, removing, counting, whose list it is."""

from __future__ import annotations

import pytest

from tests.mm.small import cgroup, entries, small_machine
from tests.mm.walking import ByVerdict, filled, removed
from thplab.cpu.errors import LockBug
from thplab.cpu.hook import H
from thplab.cpu.list_head import ListHead
from thplab.cpu.spinlock import LockClass
from thplab.mm.list_lru import (
    DEAD,
    ListLru,
)
from thplab.mm.shrinker import ShrinkControl

# Adding and removing


def test_entries_are_kept_oldest_first_on_their_node() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 3)
    assert entries(lru.node[0].lru) == items
    assert entries(lru.node[1].lru) == []
    assert (lru.count_node(0), lru.count_node(1)) == (3, 0)


def test_a_second_add_changes_nothing() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 2)
    assert not lru.add(items[0], 0, None)
    assert entries(lru.node[0].lru) == items
    assert lru.count_one(0, None) == 2


def test_deleting_what_is_on_no_list_changes_nothing() -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 2)
    assert lru.delete(items[0], 0, None)
    assert not lru.delete(items[0], 0, None)
    assert lru.count_one(0, None) == lru.count_node(0) == 1
    assert lru.add_irq(items[0], 0, None)
    assert entries(lru.node[0].lru) == [items[1], items[0]]


@pytest.mark.parametrize(
    ("take", "give", "irqs"),
    [
        ("lock", "unlock", True),
        ("lock_irq", "unlock_irq", False),
        ("lock_irqsave", "unlock_irqrestore", False),
    ],
)
def test_a_caller_may_hold_the_lock_in_three_forms(take: str, give: str, irqs: bool) -> None:
    machine = small_machine(None)
    lru, items = filled(machine, 1)
    one, owner = getattr(lru, take)(0, None)
    assert owner is None
    assert H.cpu.irqs_on is irqs
    assert not lru.add_locked(one, items[0], 0, None)
    assert lru.del_locked(one, items[0], 0)
    getattr(lru, give)(one)
    assert H.cpu.irqs_on
    assert lru.count_node(0) == 0


def test_lock_irqsave_gives_back_the_state_that_it_found() -> None:
    machine = small_machine(None)
    lru, _ = filled(machine, 0)
    H.cpu.irqs_on = False
    one, _ = lru.lock_irqsave(0, None)
    lru.unlock_irqrestore(one)
    assert not H.cpu.irqs_on
    H.cpu.irqs_on = True


def test_taking_a_sublist_twice_is_found() -> None:
    machine = small_machine(None)
    lru, _ = filled(machine, 0)
    one, _ = lru.lock(0, None)
    with pytest.raises(LockBug, match="recursive"):
        lru.add(ListHead(), 0, None)
    machine.rcu.read_unlock()
    lru.unlock(one)


# Whose list it is


def test_a_disabled_memory_controller_does_not_make_it_unaware_of_cgroups() -> None:
    """mem_cgroup_kmem_disabled() is about nokmem alone. There is no cgroup to ask for, so all is on the nodes' lists."""
    machine = small_machine(None, memcg="disabled")
    lru = ListLru(machine, memcg_aware=True)
    assert lru.memcg_aware
    assert lru in machine.list_lrus.lrus
    assert lru.add(ListHead(), 0, None)
    assert lru.count_one(0, machine.memcg.root) == lru.count_one(0, None) == 1


def test_root_none_and_list_lrus_without_cgroups_share_the_list_of_the_node() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    aware = ListLru(machine, memcg_aware=True)
    assert aware.from_memcg_idx(0, -1) is aware.node[0].lru
    for memcg in (None, machine.memcg.root):
        one, owner = aware.lock(0, memcg)
        assert one is aware.node[0].lru
        assert owner is memcg
        aware.unlock(one)
    plain = ListLru(machine)
    assert plain.from_memcg_idx(0, job.kmemcg_id) is plain.node[0].lru
    assert plain.add(ListHead(), 0, job)
    assert plain.count_one(0, None) == 1


def test_a_cgroup_has_a_list_on_every_node_once_it_asked_for_one() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru = ListLru(machine, memcg_aware=True)
    assert lru.count_one(0, job) == 0
    assert not lru.memcg_allocated(job)
    assert lru.memcg_list_lru_alloc(job)
    assert lru.memcg_allocated(job)
    assert lru.add(ListHead(), 1, job)
    assert [lru.count_one(nid, job) for nid in (0, 1)] == [0, 1]
    assert [lru.count_one(nid, None) for nid in (0, 1)] == [0, 0]
    assert lru.count_node(1) == 1
    assert lru.shrink_count(ShrinkControl(1, job)) == 1


def test_without_kernel_memory_accounting_no_list_is_a_cgroups() -> None:
    machine = small_machine(None, memcg="nokmem")
    job = cgroup(machine)
    lru = ListLru(machine, memcg_aware=True)
    assert not lru.memcg_aware
    assert lru not in machine.list_lrus.lrus
    assert lru.memcg_list_lru_alloc(job)
    assert lru.xa.entries() == []
    assert lru.add(ListHead(), 0, job)
    assert lru.count_one(0, machine.memcg.root) == 1


def test_a_missing_list_of_a_living_cgroup_is_complained_about(warnings_of: dict[str, int]) -> None:
    """B44: the object lands on an ancestor's list, where reclaim of the cgroup will not find it."""
    machine = small_machine(None)
    cgroup(machine)
    child = cgroup(machine, "/job/child")
    lru = ListLru(machine, memcg_aware=True)
    assert lru.add(ListHead(), 0, child)
    assert lru.count_one(0, machine.memcg.root) == 1
    assert list(warnings_of) == [
        "WARNING: list_lru: no list for /job/child on node 0, which is not dying",
        "WARNING: list_lru: no list for /job on node 0, which is not dying",
    ]


def test_the_lock_tells_whose_list_it_is_when_it_walked_up() -> None:
    machine = small_machine(None)
    parent, child = cgroup(machine, "/job"), cgroup(machine, "/job/child")
    lru = ListLru(machine, memcg_aware=True)
    lru.memcg_list_lru_alloc(parent)
    machine.memcg.kill(child)
    one, owner = lru.lock(0, child)
    assert owner is parent
    assert one.memcg is parent
    lru.unlock(one)


def test_a_dead_list_sends_adders_to_the_parent_and_walkers_home() -> None:
    """The block is looked up before the cgroup's lists go, and locked after."""
    machine = small_machine(None)
    parent, child = cgroup(machine, "/job"), cgroup(machine, "/job/child")
    lru = ListLru(machine, memcg_aware=True)
    lru.memcg_list_lru_alloc(child)
    machine.memcg.kill(child)
    dead = lru.from_memcg_idx(0, child.kmemcg_id)
    assert dead is not None
    lru.reparent_node(0, dead, parent)
    assert dead.nr_items == DEAD
    assert lru.add(ListHead(), 0, child)
    assert lru.count_one(0, parent) == 1
    assert lru.count_one(0, child) == 0
    assert lru.walk_one(0, child, ByVerdict(removed), 10) == (0, 10)
    assert entries(dead) == []


# Its life


def test_destroying_unlinks_and_unregisters_and_may_be_done_twice() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, items = filled(machine, 2, job)
    assert lru in machine.list_lrus.lrus
    lru.destroy()
    lru.destroy()
    assert lru not in machine.list_lrus.lrus
    assert [item.next for item in items] == [None, None]
    plain, _ = filled(machine, 1)
    plain.destroy()
    assert plain.sublists() == []


def test_locks_without_a_key_are_of_one_class_and_a_key_sets_them_apart() -> None:
    """B02."""
    machine = small_machine(None)
    key = LockClass("mine")
    first, second = ListLru(machine), ListLru(machine)
    keyed = ListLru(machine, key=key)
    assert first.node[0].lru.lock.key is second.node[1].lru.lock.key
    assert keyed.node[0].lru.lock.key is key


def test_a_sublist_says_whose_it_is() -> None:
    machine = small_machine(None)
    job = cgroup(machine)
    lru, _ = filled(machine, 1, job)
    root, _, mine, _ = lru.sublists()
    assert repr(root) == "list_lru_one(root, node 0, 0)"
    assert repr(mine) == "list_lru_one(/job, node 0, 1)"
    mine.nr_items = DEAD
    assert repr(mine) == "list_lru_one(/job, node 0, dead)"
    mine.nr_items = 1
