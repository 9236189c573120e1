# SPDX-License-Identifier: GPL-2.0-only
"""The census tells what a region is made of from pagemap and kpageflags alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.observe.fake_kernel import write_words
from thplab.mm.geometry import HPAGE_PMD_SIZE, PAGE_SIZE
from thplab.observe.page_census import PageCensus
from thplab.observe.zoneinfo import NodeSpans
from thplab.scenario.observation import RegionFigures

PRESENT = 1 << 63
SWAPPED = 1 << 62
HEAD = 1 << 15 | 1 << 22
TAIL = 1 << 16 | 1 << 22
ZERO = 1 << 24
ADDRESS = HPAGE_PMD_SIZE
FIRST = ADDRESS // PAGE_SIZE
NODES = NodeSpans([(0, 2048, 0), (2048, 8192, 1)])
FRAMES = 4096


def census(
    tmp_path: Path, mapped: dict[int, int], flags: dict[int, int], size: int = HPAGE_PMD_SIZE
) -> RegionFigures:
    """The figures of a region whose base pages have these pagemap entries."""
    entries = {FIRST + page: entry for page, entry in mapped.items()}
    write_words(tmp_path / "77" / "pagemap", entries, FIRST + size // PAGE_SIZE)
    write_words(tmp_path / "kpageflags", flags, FRAMES)
    return PageCensus(NODES, 2, tmp_path).region(77, ADDRESS, size)


def huge_page(head: int) -> dict[int, int]:
    """The flags of one folio of 512 pages."""
    return {head: HEAD} | {head + page: TAIL for page in range(1, 512)}


def test_a_huge_page_mapped_in_part_is_still_whole(tmp_path: Path) -> None:
    mapped = {page: PRESENT | 2560 + page for page in range(256)}
    figures = census(tmp_path, mapped, huge_page(2560))
    assert [node.huge for node in figures.nodes] == [0, 1]
    assert [node.split for node in figures.nodes] == [0, 0]
    assert figures.absent == 256


def test_a_split_huge_page_counts_on_the_node_of_its_first_page(tmp_path: Path) -> None:
    mapped = {3: PRESENT | 100, 4: PRESENT | 3000}
    figures = census(tmp_path, mapped, {})
    assert [node.split for node in figures.nodes] == [1, 0]
    assert [node.base for node in figures.nodes] == [1, 1]
    assert [node.huge for node in figures.nodes] == [0, 0]


def test_smaller_folios_are_base_pages(tmp_path: Path) -> None:
    """Eight folios of 64 pages lie where a huge page might: none of them is one."""
    flags = {512 + page: HEAD if page % 64 == 0 else TAIL for page in range(512)}
    mapped = {page: PRESENT | 512 + page for page in range(512)}
    figures = census(tmp_path, mapped, flags)
    assert figures.nodes[0].huge == 0
    assert figures.nodes[0].base == 512


def test_what_has_no_node_is_counted_apart(tmp_path: Path) -> None:
    mapped = {0: PRESENT | 9, 1: SWAPPED, 2: SWAPPED, 3: PRESENT | 600}
    figures = census(tmp_path, mapped, {9: ZERO})
    assert (figures.zero, figures.swapped, figures.absent) == (1, 2, 508)
    assert figures.nodes[0].base == 1


def test_a_region_need_not_be_whole_huge_pages(tmp_path: Path) -> None:
    mapped = {page: PRESENT | 1024 + page for page in range(512)} | {514: PRESENT | 5}
    figures = census(tmp_path, mapped, huge_page(1024), HPAGE_PMD_SIZE + 4 * PAGE_SIZE)
    assert figures.nodes[0].huge == 1
    assert figures.nodes[0].base == 1
    assert figures.absent == 3


def test_hidden_page_frames_are_an_error_and_not_an_empty_region(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="run as root"):
        census(tmp_path, {0: PRESENT}, {})
