# SPDX-License-Identifier: GPL-2.0-only
"""Where the designs differ, and how: each question has a set of outcomes, and each design one of them.

An outcome that no design has any more is a failure, and so is one that nobody expected. A design
of somebody's own must have one of the outcomes that are listed, or one of ALSO_RIGHT; which one is
its business.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.conftest import EXPECTED_WARNINGS
from tests.conformance.test_queue import count, made, scan
from tests.mm.small import LOWER, FailingWatcher, event, folio_at, halved, start, touched
from thplab import designs
from thplab.cpu.errors import NullDereference
from thplab.cpu.hook import H, attach, detach
from thplab.mm.census import census
from thplab.mm.mm_types import Folio, folio_memcg
from thplab.mm.shrinker_debug import count_columns

OLD = ["split_queue", "split_queue_reparented"]
NEW = ["list_lru", "list_lru_v1"]

Question = Callable[[str], str]


def what_the_count_file_shows(design: str) -> str:
    """For a cgroup with 2 huge pages on node 0 and 3 on node 1."""
    machine = made(design)
    task = start(machine)
    halved(machine, task, 2, 0, "near")
    halved(machine, task, 3, 1, "far")
    return str(count_columns(machine, machine.deferred_split, task.memcg))


def what_reclaim_of_node_0_splits(design: str) -> str:
    """Of 2 huge pages on node 0 and 3 on node 1."""
    machine = made(design)
    task = start(machine)
    halved(machine, task, 2, 0, "near")
    halved(machine, task, 3, 1, "far")
    machine.vmscan.min_slab_ratio = 0
    machine.vmscan.node_reclaim(0, 4)
    return f"{event(machine, 'thp_split_page')} huge pages"


def what_reclaim_of_a_node_with_nothing_splits(design: str) -> str:
    """Of 3 huge pages on node 1, where none was ever on node 0: the guard rail."""
    machine = made(design)
    halved(machine, start(machine), 3, 1)
    machine.vmscan.min_slab_ratio = 0
    machine.vmscan.node_reclaim(0, 4)
    return f"{event(machine, 'thp_split_page')} huge pages"


def who_owns_the_memory_of_a_removed_cgroup(design: str) -> str:
    machine = made(design)
    task = start(machine)
    job = task.memcg
    folio = folio_at(touched(machine, task, 1), 0)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    machine.rcu.read_lock()
    owner = folio_memcg(folio)
    machine.rcu.read_unlock()
    return "its parent" if owner is machine.memcg.root else "the dead cgroup"


def whether_the_queue_of_a_removed_cgroup_is_found(design: str) -> str:
    machine = made(design)
    task = start(machine)
    job = task.memcg
    halved(machine, task, 3)
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    machine.vmscan.try_to_free_pages(0, None)
    return "yes" if event(machine, "thp_split_page") == 3 else "no"


def which_bits_the_parent_gets(design: str) -> str:
    """When a child goes that had huge pages on node 1 only."""
    machine = made(design)
    parent = machine.memcg.create("/a")
    task = start(machine, path="/a/b")
    halved(machine, task, 2, 1)
    job = task.memcg
    machine.move_task(task, machine.memcg.root)
    machine.memcg.rmdir(job)
    number = machine.deferred_split.id
    nodes = [nid for nid in (0, 1) if machine.shrinkers.test_shrinker_bit(parent, nid, number)]
    return f"of nodes {nodes}"


def whose_huge_pages_come_first_after_reparenting(design: str) -> str:
    machine = made(design)
    parent, child = start(machine, "parent", "/a"), start(machine, "child", "/a/b")
    for task in (parent, child):
        halved(machine, task, 1)
    job = child.memcg
    machine.move_task(child, machine.memcg.root)
    machine.memcg.rmdir(job)
    scan(machine, parent.memcg, 0, 1)
    split = [
        name for name, task in machine.tasks.items() if census(task.mm.vmas["memory"], 2).split[0]
    ]
    return f"the {split[0]}'s"


def whether_the_bit_of_a_drained_queue_goes(design: str) -> str:
    """B11."""
    machine = made(design)
    task = start(machine)
    halved(machine, task, 2)
    scan(machine, task.memcg, 0, 2)
    machine.shrinkers.shrink_slab(0, task.memcg, 0)
    number = machine.deferred_split.id
    return "no" if machine.shrinkers.test_shrinker_bit(task.memcg, 0, number) else "yes"


def what_a_cgroups_reclaim_splits_under_nokmem(design: str) -> str:
    """Of 2 huge pages of its own and 3 of another cgroup (B08, B09)."""
    machine = made(design, "nokmem")
    one, two = start(machine, "one", "/one"), start(machine, "two", "/two")
    mine, others = halved(machine, one, 2), halved(machine, two, 3)
    machine.vmscan.memory_reclaim(one.memcg, 1)
    return f"{census(mine, 2).split[0]} of its own, {census(others, 2).split[0]} of the other"


def whether_a_fault_needs_memory_for_list_heads(design: str) -> str:
    machine = made(design)
    task = start(machine)
    attach(FailingWatcher("list_lru_memcg"))
    vma = touched(machine, task, 1)
    detach()
    return "no" if census(vma, 2).huge[0] else "yes"


def what_a_scan_of_node_0_finds_when_all_is_on_node_1(design: str) -> str:
    """B40."""
    machine = made(design)
    task = start(machine)
    halved(machine, task, 3, 1)
    found = count(machine, task.memcg, 0)
    return f"counts {found}, splits {scan(machine, task.memcg, 0, 2)}"


def whether_splitting_is_complained_about(design: str) -> str:
    """B01."""
    machine = made(design)
    task = start(machine)
    halved(machine, task, 1)
    scan(machine, task.memcg, 0, 1)
    return "yes" if H.log else "no"


def whose_huge_pages_a_cgroups_scan_finds(design: str) -> str:
    """Two cgroups with 2 each, of which one is scanned for 3."""
    machine = made(design)
    tasks = [start(machine, name, f"/{name}") for name in ("one", "two")]
    regions = [halved(machine, task, 2) for task in tasks]
    scan(machine, tasks[0].memcg, 0, 3)
    return "everybody's" if census(regions[1], 2).split[0] else "its own"


def what_a_folio_costs_whose_final_put_is_under_way(design: str) -> str:
    """Its reference count is 0; the scan may visit one folio, and there is another."""
    machine = made(design)
    task = start(machine)
    folio = folio_at(halved(machine, task, 2), 0)
    references = folio.refcount
    assert folio.ref_freeze(references)
    found = scan(machine, task.memcg, 0, 1)
    queued = "stays queued" if folio.next is not None else "leaves the queue"
    folio.ref_unfreeze(references)
    return f"{queued}, {'nothing' if found else 'a visit'}"


def what_becomes_of_an_underused_folio_that_is_locked(design: str) -> str:
    """A scan visits it; it is mapped whole."""
    machine = made(design)
    machine.huge_memory.thp.shrink_underused = True
    machine.khugepaged.max_ptes_none = 100
    task = start(machine)
    folio = folio_at(touched(machine, task, 1, mask=LOWER), 0)
    assert folio.trylock()
    scan(machine, task.memcg, 0, 1)
    folio.unlock()
    return "stays queued" if folio.next is not None else "leaves the queue"


def what_a_huge_fault_without_the_memory_controller_is(design: str) -> str:
    """B04."""
    machine = made(design, "disabled")
    task = start(machine)
    try:
        touched(machine, task, 1)
    except NullDereference:
        machine.rcu.read_unlock()
        return "an oops"
    return "a fault like any other"


OUTCOMES: dict[Question, dict[str, list[str]]] = {
    what_the_count_file_shows: {"[5, 5]": OLD, "[2, 3]": NEW},
    what_reclaim_of_node_0_splits: {"5 huge pages": OLD, "2 huge pages": NEW},
    what_reclaim_of_a_node_with_nothing_splits: {"0 huge pages": [*OLD, *NEW]},
    who_owns_the_memory_of_a_removed_cgroup: {
        "the dead cgroup": ["split_queue"],
        "its parent": ["split_queue_reparented", *NEW],
    },
    whether_the_queue_of_a_removed_cgroup_is_found: {
        "no": ["split_queue"],
        "yes": ["split_queue_reparented", *NEW],
    },
    which_bits_the_parent_gets: {
        "of nodes []": ["split_queue"],
        "of nodes [0, 1]": ["split_queue_reparented"],
        "of nodes [1]": NEW,
    },
    whose_huge_pages_come_first_after_reparenting: {"the parent's": OLD, "the child's": NEW},
    whether_the_bit_of_a_drained_queue_goes: {"no": [*OLD, "list_lru_v1"], "yes": ["list_lru"]},
    what_a_cgroups_reclaim_splits_under_nokmem: {
        "2 of its own, 0 of the other": OLD,
        "0 of its own, 0 of the other": ["list_lru"],
        "2 of its own, 3 of the other": ["list_lru_v1"],
    },
    whether_a_fault_needs_memory_for_list_heads: {"no": OLD, "yes": NEW},
    what_a_scan_of_node_0_finds_when_all_is_on_node_1: {
        "counts 3, splits 2": OLD,
        "counts 0, splits 0": NEW,
    },
    whose_huge_pages_a_cgroups_scan_finds: {"its own": [*OLD, *NEW]},
    what_a_folio_costs_whose_final_put_is_under_way: {
        "leaves the queue, a visit": [*OLD, "list_lru_v1"],
        "stays queued, a visit": ["list_lru"],
    },
    what_becomes_of_an_underused_folio_that_is_locked: {
        "leaves the queue": [*OLD, "list_lru_v1"],
        "stays queued": ["list_lru"],
    },
    what_a_huge_fault_without_the_memory_controller_is: {
        "a fault like any other": [*OLD, "list_lru"],
        "an oops": ["list_lru_v1"],
    },
    whether_splitting_is_complained_about: {"no": [*OLD, "list_lru"], "yes": ["list_lru_v1"]},
}

ALSO_RIGHT: dict[Question, set[str]] = {
    whose_huge_pages_a_cgroups_scan_finds: {"everybody's"},
    what_a_folio_costs_whose_final_put_is_under_way: {
        "leaves the queue, nothing",
        "stays queued, nothing",
    },
}
"""What no kernel does, and a design of somebody's own may do: it breaks nothing."""

SHIPPED = [*OLD, *NEW]
QUESTIONS = list(OUTCOMES)
NAMES = [question.__name__ for question in QUESTIONS]


def test_every_design_that_ships_is_expected_to_answer_every_question() -> None:
    for question, outcomes in OUTCOMES.items():
        answered = sorted(name for having in outcomes.values() for name in having)
        assert answered == sorted(SHIPPED), question.__name__
    assert designs.names()[: len(SHIPPED)] == SHIPPED


@pytest.mark.parametrize("question", QUESTIONS, ids=NAMES)
def test_a_design_has_the_outcome_that_is_expected_of_it(design: str, question: Question) -> None:
    outcome = question(design)
    expected = {name: text for text, having in OUTCOMES[question].items() for name in having}
    if design in expected:
        assert outcome == expected[design]
    else:
        assert outcome in {*OUTCOMES[question], *ALSO_RIGHT.get(question, set())}


@pytest.mark.parametrize("question", QUESTIONS, ids=NAMES)
def test_the_set_of_outcomes_is_the_expected_one(
    question: Question, complaints: dict[str, int]
) -> None:
    """No more, and no fewer: an outcome that nobody has any more hides a change."""
    assert {question(design) for design in SHIPPED} == set(OUTCOMES[question])
    known = set().union(*EXPECTED_WARNINGS.values())
    assert set(complaints) <= known
    complaints.clear()


def test_a_folio_says_nothing_about_its_design() -> None:
    """All that a design keeps for a folio is its place on a list."""
    assert Folio(9, 0).next is None
