# SPDX-License-Identifier: GPL-2.0-only
"""What /proc/zoneinfo and /proc/buddyinfo say of each node; the two files are from a guest of 7.3."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.observe.fake_kernel import write
from thplab.observe.zoneinfo import read_host_facts
from thplab.scenario.host_facts import HostFacts

PROC = Path(__file__).parents[1] / "data" / "host"


@pytest.fixture
def facts(tmp_path: Path) -> HostFacts:
    """Those of the guest, whose node 0 has two CPUs."""
    write(tmp_path, "devices/system/node/node0/cpulist", "0-1")
    return read_host_facts(2, PROC, tmp_path)


def test_zones_without_memory_are_left_out(facts: HostFacts) -> None:
    assert [[zone.name for zone in node.zones] for node in facts.nodes] == [
        ["DMA", "DMA32"],
        ["DMA32"],
    ]


def test_a_node_has_what_its_zones_have(facts: HostFacts) -> None:
    first, second = facts.nodes
    assert (first.managed, first.free) == (3840 + 119836, 3840 + 108705)
    assert (second.managed, second.free) == (128724, 128228)
    assert (first.cpus, second.cpus) == (2, 0)
    assert (first.reclaimable, second.reclaimable) == (1843 + 2 + 700, 5)


def test_a_zone_keeps_its_reserve_beyond_the_watermark(facts: HostFacts) -> None:
    """The DMA zone keeps 468 pages for those who can use no other (lowmem_reserve)."""
    assert facts.nodes[0].left_at("min") == 190 + 468 + 5973
    assert facts.nodes[0].left_at("low") == 237 + 468 + 7466
    assert facts.nodes[1].left_at("low") == 7996


def test_a_zone_with_less_than_it_must_leave_keeps_all_of_it(facts: HostFacts) -> None:
    fuller = facts.nodes[1].with_more_free(-125000, 0)
    assert fuller.free == 3228
    assert fuller.left_at("min") == 3228


def test_kswapd_stops_when_the_largest_zone_has_reached_its_high_watermark(
    facts: HostFacts,
) -> None:
    assert facts.nodes[0].balanced == 237 + 468 + 8959


def test_blocks_of_a_huge_page_and_more_are_whole(facts: HostFacts) -> None:
    assert facts.nodes[0].whole == 512 + 3 * 1024 + 512 + 105 * 1024
    assert facts.nodes[1].whole == 512 + 124 * 1024


def test_the_limit_of_a_cpus_list_is_the_one_that_it_may_grow_to(facts: HostFacts) -> None:
    assert [zone.pagesets for zone in facts.nodes[0].zones] == [4 + 4, 124 + 124]


def test_the_batch_is_what_a_cpu_takes_at_once(facts: HostFacts) -> None:
    assert [[zone.batch for zone in node.zones] for node in facts.nodes] == [[1, 31], [31]]


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        ("        min      6397\n", "node 1, zone DMA32 lacks 'min'"),
        ("  start_pfn:           131072\n", ""),
    ],
)
def test_what_the_file_lacks_is_named(lost: str, reason: str, tmp_path: Path) -> None:
    shutil.copy(PROC / "buddyinfo", tmp_path)
    text = (PROC / "zoneinfo").read_text(encoding="ascii")
    assert lost in text
    write(tmp_path, "zoneinfo", text.replace(lost, ""))
    if reason:
        with pytest.raises(ValueError, match=reason):
            read_host_facts(2, tmp_path, tmp_path)
    else:
        assert read_host_facts(2, tmp_path, tmp_path).nodes[1].free == 128228


def test_a_node_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no zone with memory on node 2"):
        read_host_facts(3, PROC)
