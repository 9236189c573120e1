# SPDX-License-Identifier: GPL-2.0-only
"""The allocation of list heads, where the kernel's code is not what one would expect."""

from __future__ import annotations

import pytest

from tests.mm.small import cgroup, small_machine
from thplab.cpu.errors import NullDereference
from thplab.cpu.hook import Watcher, attach, detach
from thplab.mm.deferred_split import NoQueue
from thplab.mm.list_lru import ListLru
from thplab.mm.machine import Machine
from thplab.mm.mm_types import Folio


def aware(machine: Machine) -> ListLru:
    """A memcg-aware list_lru with a shrinker."""
    shrinker = NoQueue(machine)
    machine.shrinkers.alloc(shrinker)
    return ListLru(machine, True, shrinker)


def test_a_folio_of_nobody_is_an_oops() -> None:
    """folio_memcg() is NULL; the kernel's callers look at mem_cgroup_disabled() first."""
    machine = small_machine(None)
    lru = aware(machine)
    with pytest.raises(NullDereference, match="kmemcg_id"):
        lru.folio_memcg_list_lru_alloc(Folio(9, 0))
    machine.rcu.read_unlock()


def test_the_root_has_its_heads_but_an_allocation_for_it_is_an_oops() -> None:
    """__memcg_list_lru_alloc() begins with the parent of the cgroup that it is given, and never looks at that cgroup."""
    machine = small_machine(None)
    lru = aware(machine)
    root = machine.memcg.root
    assert lru.memcg_list_lru_alloc(root)
    with pytest.raises(NullDereference, match="kmemcg_id"):
        lru._alloc_heads(root)


def test_a_block_that_another_cpu_made_needless_serves_for_the_next_cgroup() -> None:
    """One allocation is enough, so a second one, which would fail, is not asked for."""
    machine = small_machine(None)
    parent, child = cgroup(machine, "/a"), cgroup(machine, "/a/b")
    lru = aware(machine)

    class Faster(Watcher):
        """Somebody else makes the parent's heads; all further allocations fail."""

        asked = 0

        def fails(self, what: str) -> bool:
            self.asked += 1
            if self.asked == 1:
                detach()
                assert lru.memcg_list_lru_alloc(parent)
                attach(self)
            return self.asked > 1

    attach(Faster())
    assert lru.memcg_list_lru_alloc(child)
    detach()
    assert lru.memcg_allocated(child)
