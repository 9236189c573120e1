# SPDX-License-Identifier: GPL-2.0-only
"""The step split_huge_pages: the debugfs file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests.scenario.steps.playing import FIRST, FORK, TOUCH, UPPER, loaded, play, step
from thplab.scenario.steps import split_huge_pages
from thplab.scenario.worlds import KernelWorld, NotOffered

KERNEL = cast(
    "KernelWorld",
    SimpleNamespace(
        task=lambda _name: SimpleNamespace(pid=77),
        ranges=lambda _step: [(0x200000, 0x1000), (0x400000, 0x2000)],
    ),
)


def test_a_page_of_a_huge_page_has_all_of_it_split() -> None:
    played = play(TOUCH, step("split_huge_pages", offset="3M", length="2M"))
    assert played.pages() == (2, 1024)
    assert played.count("thp_split_page") == 2


def test_other_tasks_map_base_pages_then_as_well() -> None:
    played = play(TOUCH, FORK, step("split_huge_pages", part=FIRST))
    assert played.pages() == played.pages("child") == (0, 2048)
    assert played.count("thp_split_pmd") == 8


def test_where_nothing_is_mapped_nothing_is_split() -> None:
    played = play(TOUCH, step("discard", part=UPPER), step("split_huge_pages", part=UPPER))
    assert played.pages() == (4, 0)
    assert played.count("thp_split_page") == 0


def test_an_mlocked_region_is_split_too() -> None:
    assert play(step("lock"), step("split_huge_pages")).pages() == (0, 2048)


def test_releases_before_5_13_have_no_such_interface() -> None:
    (outcome,) = play(TOUCH, step("split_huge_pages"), release="5.4").outcomes
    assert outcome.startswith("not done: ")
    assert "5.13" in outcome


def test_a_kernel_gets_the_process_and_the_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    file = tmp_path / "split_huge_pages"
    file.touch()

    def write_text(_path: Path, text: str, encoding: str) -> int:
        assert encoding == "ascii"
        written.append(text)
        return len(text)

    monkeypatch.setattr(split_huge_pages, "SPLIT_HUGE_PAGES", file)
    monkeypatch.setattr(Path, "write_text", write_text)
    loaded(step("split_huge_pages")).on_kernel(KERNEL)
    assert written == ["77,0x200000,0x201000", "77,0x400000,0x402000"]


def test_a_kernel_without_the_file_does_not_offer_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split_huge_pages, "SPLIT_HUGE_PAGES", tmp_path / "none")
    with pytest.raises(NotOffered, match="CONFIG_DEBUG_FS"):
        loaded(step("split_huge_pages")).on_kernel(KERNEL)
