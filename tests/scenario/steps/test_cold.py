# SPDX-License-Identifier: GPL-2.0-only
"""The step cold: MADV_COLD."""

from __future__ import annotations

from tests.scenario.steps.playing import FIRST, FORK, TOUCH, UPPER, calls_of, complaint, play, step


def test_a_part_of_each_huge_page_splits_them_at_once() -> None:
    played = play(TOUCH, step("cold", part=UPPER))
    assert played.pages() == (0, 2048)
    assert played.count("thp_split_page") == 4
    assert played.count("thp_deferred_split_page") == 0


def test_whole_huge_pages_stay_whole() -> None:
    assert play(TOUCH, step("cold")).pages() == (4, 0)
    assert play(TOUCH, step("cold", offset="2M", length="3M")).pages() == (3, 512)


def test_what_a_fork_shares_stays_whole_until_the_other_task_ends() -> None:
    cold = step("cold", part=UPPER)
    shared = play(TOUCH, FORK, cold)
    assert shared.pages() == shared.pages("child") == (4, 0)
    assert play(TOUCH, FORK, {"do": "exit", "task": "child"}, cold).pages() == (0, 2048)


def test_split_pages_of_zeros_become_the_shared_zero_page() -> None:
    assert play(step("touch", part=FIRST), step("cold", part=UPPER)).pages() == (0, 4)


def test_an_mlocked_region_is_refused_as_the_kernel_refuses_it() -> None:
    played = play(step("lock"), step("cold", part=UPPER))
    assert played.outcomes == ["refused: EINVAL (Invalid argument)"]
    assert played.pages() == (4, 0)


def test_it_is_one_call_for_each_range() -> None:
    assert calls_of(step("cold", part=UPPER)) == [("far", "madvise", 20)]


def test_what_was_unmapped_cannot_be_cold() -> None:
    assert "unmapped at step 2" in complaint(step("unmap", part=UPPER), step("cold"))
