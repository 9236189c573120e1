# SPDX-License-Identifier: GPL-2.0-only
"""The step protect: mprotect(2)."""

from __future__ import annotations

import pytest

from tests.scenario.steps.playing import FIRST, FORK, TOUCH, UPPER, calls_of, complaint, play, step

LOWER = "lower half of each huge page"
NONE = step("protect", access="none", part=UPPER)
WRITE = step("protect", access="write")


def test_a_part_of_a_huge_page_takes_its_pmd_and_leaves_it_whole() -> None:
    played = play(TOUCH, NONE)
    assert played.pages() == (4, 0)
    assert played.count("thp_split_pmd") == 4
    assert played.count("thp_split_page") == played.count("thp_deferred_split_page") == 0


def test_whole_huge_pages_keep_their_pmds() -> None:
    assert play(TOUCH, step("protect", access="read")).count("thp_split_pmd") == 0
    assert play(TOUCH, step("protect", access="read", length="3M")).count("thp_split_pmd") == 1


def test_no_huge_page_fits_across_a_boundary_until_the_access_is_equal() -> None:
    lower = step("touch", part=LOWER)
    assert play(NONE, lower).pages() == (0, 1024)
    assert play(NONE, WRITE, lower).pages() == (4, 0)
    collapse = step("advise", advice="collapse")
    assert "refused: EINVAL" in play(TOUCH, NONE, collapse).outcomes[0]
    assert play(TOUCH, NONE, WRITE, collapse).count("thp_collapse_alloc") == 4


@pytest.mark.parametrize("access", ["none", "read"])
@pytest.mark.parametrize(
    "writer", [step("touch"), step("touch", part="page 300 of each huge page"), step("lock")]
)
def test_no_step_may_write_to_protected_memory(access: str, writer: dict[str, object]) -> None:
    told = complaint(step("protect", access=access, part=UPPER), writer)
    assert 'a part of region "far" was protected at step 2 (protect)' in told
    assert 'access = "write"' in told


def test_what_is_writable_again_may_be_written_to() -> None:
    some = step("protect", access="write", part="pages 300-400 of each huge page", offset="2M")
    within = step("touch", part="pages 300-400 of each huge page", offset="2M")
    assert play(TOUCH, NONE, some, within).count("thp_split_pmd") == 4
    for beside in ("page 299 of each huge page", "page 401 of each huge page"):
        assert "protected at step 2" in complaint(NONE, some, step("touch", part=beside))
    assert "protected at step 2" in complaint(NONE, some, step("touch", length="2M"))
    play(TOUCH, NONE, some, WRITE, TOUCH, step("lock"))


def test_the_last_protection_counts() -> None:
    assert "protected at step 4" in complaint(NONE, WRITE, NONE, TOUCH)
    assert "protected at step 3" in complaint(
        NONE, step("protect", access="read", part=UPPER), step("touch", offset="6M")
    )


def test_steps_that_do_not_write_go_on() -> None:
    last = play(
        TOUCH,
        NONE,
        step("advise", advice="hugepage"),
        step("lock", locked=False),
        step("cold", part=FIRST, length="2M"),
        step("split_huge_pages", offset="2M", length="2M"),
        step("move_pages", node=0, offset="4M", length="2M"),
        step("discard", offset="6M"),
        step("unmap", length="2M"),
    )
    assert last.pages() == (0, 512)
    assert last.end.regions["victim.far"].nodes[0].huge == 1


def test_a_forked_task_has_the_protection_too() -> None:
    child = {"do": "touch", "task": "child", "region": "far"}
    assert "protected at step 2" in complaint(NONE, FORK, child)
    assert "protected at step 2" in complaint(NONE, FORK, WRITE, child)
    play(NONE, FORK, WRITE, TOUCH)


def test_what_was_unmapped_cannot_be_protected() -> None:
    assert "unmapped at step 2" in complaint(step("unmap", part=UPPER), WRITE)


def test_there_is_a_limit_to_the_places() -> None:
    many = [
        step("protect", access="none", offset=f"{8 * page}K", length="4K") for page in range(129)
    ]
    assert "protected in 128 places already" in complaint(*many)


@pytest.mark.parametrize(("access", "number"), [("none", 0), ("read", 1), ("write", 3)])
def test_it_is_one_call_for_each_range(access: str, number: int) -> None:
    assert calls_of(step("protect", access=access)) == [("far", "mprotect", number)]
