# SPDX-License-Identifier: GPL-2.0-only
"""Reverse mapping: layers of bits against a naive multiset, and who becomes partially mapped."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.mm.small import HUGE, LOWER, UPPER, event, folio_at, mthp, small_machine, start, touched
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_DEVICE_PRIVATE, PG_PARTIALLY_MAPPED, BasePages, Mapped, Task
from thplab.mm.rmap import add_mapped, remove_mapped


def multiset(pages: Mapped) -> Counter[int]:
    """How often each page is mapped."""
    counts: Counter[int] = Counter()
    for layer in [pages.mapped, *(pages.more_mapped or [])]:
        counts.update(bit for bit in range(layer.bit_length()) if layer >> bit & 1)
    return counts


MASKS = st.integers(min_value=0, max_value=(1 << 12) - 1)


@given(st.lists(st.tuples(st.booleans(), MASKS), max_size=30))
def test_the_layers_are_a_multiset(steps: list[tuple[bool, int]]) -> None:
    pages = BasePages(0)
    naive: Counter[int] = Counter()
    for add, wanted in steps:
        if add:
            mask = wanted
            fresh = sum(1 << bit for bit in range(12) if mask >> bit & 1 and not naive[bit])
            assert add_mapped(pages, mask) == fresh
            naive.update(bit for bit in range(12) if mask >> bit & 1)
        else:
            mask = sum(1 << bit for bit in range(12) if wanted >> bit & 1 and naive[bit])
            gone = sum(1 << bit for bit in range(12) if mask >> bit & 1 and naive[bit] == 1)
            assert remove_mapped(pages, mask) == gone
            naive.subtract(bit for bit in range(12) if mask >> bit & 1)
        assert multiset(pages) == +naive
        deeper = pages.mapped
        for layer in pages.more_mapped or []:
            assert layer, "an empty layer is dropped"
            assert layer & ~deeper == 0, "who is mapped twice is mapped once too"
            deeper = layer


def test_removing_a_part_makes_a_folio_partially_mapped_once(machine: Machine, task: Task) -> None:
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    machine.memory.zap(vma, 0, 1)
    assert folio.flags & PG_PARTIALLY_MAPPED
    machine.memory.zap(vma, 0, UPPER)
    assert event(machine, "thp_deferred_split_page") == mthp(machine, "split_deferred") == 1
    assert mthp(machine, "nr_anon_partially_mapped") == 1
    assert (machine.pages.nodes[0].nr_anon, machine.pages.nodes[0].nr_anon_thps) == (255, 0)


def test_a_device_private_folio_is_never_queued() -> None:
    """No scan could free its memory. The model has the flag, and nothing that moves memory to a device."""
    machine = small_machine()
    machine.huge_memory.thp.shrink_underused = False
    vma = touched(machine, start(machine), 1)
    folio = folio_at(vma, 0)
    folio.set_flag(PG_DEVICE_PRIVATE)
    machine.memory.zap(vma, 0, UPPER)
    assert folio.next is None
    assert not folio.flags & PG_PARTIALLY_MAPPED
    assert event(machine, "thp_deferred_split_page") == mthp(machine, "split_deferred") == 0


def test_removing_everything_at_once_makes_nothing_partially_mapped(
    machine: Machine, task: Task
) -> None:
    vma = touched(machine, task, 2)
    machine.memory.zap(vma, 0, FULL_MASK)
    machine.huge_memory.split_huge_pmd(vma, 1, folio_at(vma, 1))
    machine.memory.zap(vma, 1, FULL_MASK)
    assert event(machine, "thp_deferred_split_page") == 0
    assert task.memcg.memory.usage == 0


def test_a_folio_that_another_pmd_maps_whole_is_not_partially_mapped(
    machine: Machine, task: Task
) -> None:
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    child = machine.fork(task, "child")
    machine.memory.zap(vma, 0, UPPER)
    assert not folio.flags & PG_PARTIALLY_MAPPED
    assert machine.pages.nodes[0].nr_anon == HUGE
    assert check(machine) == []
    machine.exit(child)
    assert folio.flags & PG_PARTIALLY_MAPPED, "the last PMD goes, and only half is mapped"
    assert machine.pages.nodes[0].nr_anon == 256


def test_pages_that_another_task_maps_still_do_not_count_as_gone(
    machine: Machine, task: Task
) -> None:
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    child = machine.fork(task, "child")
    machine.memory.zap(vma, 0, UPPER)
    machine.memory.zap(child.mm.vmas["memory"], 0, 1)
    assert not folio.flags & PG_PARTIALLY_MAPPED
    machine.memory.zap(child.mm.vmas["memory"], 0, UPPER)
    assert folio.flags & PG_PARTIALLY_MAPPED
    machine.memory.zap(vma, 0, LOWER)
    machine.memory.zap(child.mm.vmas["memory"], 0, LOWER)
    assert folio.is_freed()


def test_mapping_a_split_pmd_again_by_a_pmd_counts_the_missing_pages(
    machine: Machine, task: Task
) -> None:
    vma = touched(machine, task, 1)
    folio = folio_at(vma, 0)
    machine.memory.zap(vma, 0, UPPER)
    node = machine.pages.nodes[0]
    machine.rmap.folio_add_anon_rmap_pmd(folio)
    assert (node.nr_anon, node.nr_anon_thps) == (512, 512)
    machine.rmap.folio_remove_rmap_pmd(folio)
    assert (node.nr_anon, node.nr_anon_thps) == (256, 0)
