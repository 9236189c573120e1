# SPDX-License-Identifier: GPL-2.0-only
"""Files that reclaim finds, on a machine that has a kernel's figures."""

from __future__ import annotations

from tests.mm.small import event, fill, halved, small_machine, start


def test_files_are_progress_and_end_reclaim_before_the_queue_is_scanned() -> None:
    """At priority 4 reclaim looks at 37 of 600 pages, which is enough, and by then no shrinker was due."""
    machine = small_machine("list_lru")
    victim = start(machine, "victim", "/victim")
    halved(machine, victim, 40)
    node = machine.pages.nodes[0]
    node.files = 600
    node.take(0, 2000, 0)
    free = node.free
    assert machine.vmscan.try_to_free_pages(0, [0]) >= 32
    assert event(machine, "thp_split_page") == 0
    assert node.free - free == 600 - node.files > 32
    node.files = 0
    assert machine.vmscan.try_to_free_pages(0, [0]) == 0
    assert event(machine, "thp_split_page") == 40


def test_reclaim_at_a_limit_finds_no_files() -> None:
    """They are those of the root cgroup."""
    machine = small_machine("list_lru")
    victim = start(machine, "victim", "/victim")
    machine.pages.nodes[0].files = 600
    machine.pages.nodes[0].take(0, 2000, 0)
    assert machine.vmscan.try_to_free_mem_cgroup_pages(victim.memcg, 32) == 0
    assert machine.pages.nodes[0].files == 600


def test_nobody_is_killed_before_the_files_are_gone() -> None:
    machine = small_machine("list_lru")
    task = start(machine)
    node = machine.pages.nodes[0]
    node.take(0, 600, 0)
    node.files = 600
    assert not fill(machine, task, 0)
    assert node.files == 0
    assert len(machine.oom.killed) == 1
