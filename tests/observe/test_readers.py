# SPDX-License-Identifier: GPL-2.0-only
"""Each reader understands the file that it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.observe.fake_kernel import write
from thplab.observe.cgroup_memory import (
    read_memory_by_node,
    read_memory_events,
    read_memory_numa_stat,
    read_memory_number,
    read_memory_stat,
)
from thplab.observe.mthp import read_mthp
from thplab.observe.node_meminfo import (
    cpus_of_node,
    online_nodes,
    parse_id_list,
    read_node_meminfo,
)
from thplab.observe.shrinker_debugfs import find_deferred_split_shrinker, why_no_shrinker_debugfs
from thplab.observe.vmstat import read_vmstat, vmstat_events
from thplab.observe.zoneinfo import NodeSpans, read_node_spans

ZONEINFO = """\
Node 0, zone      DMA
  pages free     3840
        spanned  4095
        present  3998
  start_pfn:           1
Node 0, zone    DMA32
        spanned  258048
  start_pfn:           4096
Node 0, zone   Normal
        spanned  0
Node 1, zone    DMA32
        spanned  262111
  start_pfn:           262144
"""


def test_vmstat_keeps_events_and_leaves_gauges(tmp_path: Path) -> None:
    write(tmp_path, "vmstat", "nr_free_pages 100\nthp_split_page 65\noom_kill 1\nnr_anon_pages 7\n")
    assert read_vmstat(tmp_path)["nr_free_pages"] == 100
    assert vmstat_events(tmp_path) == {"thp_split_page": 65, "oom_kill": 1}


def test_mthp_statistics_are_by_size_as_the_kernel_writes_it(tmp_path: Path) -> None:
    stats = "kernel/mm/transparent_hugepage/hugepages-2048kB/stats"
    write(tmp_path, f"{stats}/split", "65\n")
    write(tmp_path, f"{stats}/nr_anon", "3\n")
    assert read_mthp(tmp_path) == {"2048kB": {"nr_anon": 3, "split": 65}}


def test_a_kernel_without_mthp_statistics_has_none(tmp_path: Path) -> None:
    assert read_mthp(tmp_path) == {}


def test_memory_of_a_cgroup_is_in_bytes_by_node(tmp_path: Path) -> None:
    write(tmp_path, "memory.numa_stat", "anon N0=4096 N1=67108864\nanon_thp N0=0 N1=2097152\n")
    write(tmp_path, "memory.stat", "anon 67112960\nthp_fault_alloc 65\n")
    assert read_memory_numa_stat(tmp_path)["anon"] == {0: 4096, 1: 67108864}
    assert read_memory_numa_stat(tmp_path)["anon_thp"][1] == 2 << 20
    assert read_memory_stat(tmp_path)["thp_fault_alloc"] == 65


def test_what_the_root_cgroup_lacks_is_no_figure(tmp_path: Path) -> None:
    write(tmp_path, "memory.events", "low 0\nhigh 7\noom_group_kill 1\n")
    write(tmp_path, "memory.current", "4096\n")
    assert read_memory_events(tmp_path) == {"low": 0, "high": 7, "oom_group_kill": 1}
    assert read_memory_number(tmp_path, "memory.current") == 4096
    assert read_memory_number(tmp_path, "memory.peak") is None
    assert read_memory_events(tmp_path / "root") == {}


def test_without_numa_stat_one_node_has_all_of_a_cgroup(tmp_path: Path) -> None:
    write(tmp_path, "memory.stat", "anon 8192\nanon_thp 0\n")
    assert read_memory_by_node(tmp_path, 1) == {"anon": {0: 8192}, "anon_thp": {0: 0}}
    assert read_memory_by_node(tmp_path, 2) is None
    write(tmp_path, "memory.numa_stat", "anon N0=4096 N1=4096\n")
    assert read_memory_by_node(tmp_path, 2) == {"anon": {0: 4096, 1: 4096}}


def test_without_numa_the_machine_is_node_0(tmp_path: Path) -> None:
    write(tmp_path, "meminfo", "MemFree:  1024 kB\nAnonHugePages:     0 kB\nHugePages_Total: 3\n")
    found = read_node_meminfo(0, tmp_path / "sys", tmp_path)
    assert found == {"MemFree": 1 << 20, "AnonHugePages": 0, "HugePages_Total": 3}
    assert cpus_of_node(0, tmp_path / "sys") == []


def test_meminfo_of_a_node_is_in_bytes_and_counts_are_not(tmp_path: Path) -> None:
    write(
        tmp_path,
        "devices/system/node/node1/meminfo",
        "Node 1 MemFree:   1024 kB\nNode 1 HugePages_Total:     3\n",
    )
    assert read_node_meminfo(1, tmp_path) == {"MemFree": 1 << 20, "HugePages_Total": 3}


def test_nodes_and_their_cpus_are_lists_of_ids(tmp_path: Path) -> None:
    write(tmp_path, "devices/system/node/online", "0-1,4\n")
    write(tmp_path, "devices/system/node/node4/cpulist", "2,5-6\n")
    assert online_nodes(tmp_path) == [0, 1, 4]
    assert cpus_of_node(4, tmp_path) == [2, 5, 6]
    assert parse_id_list("\n") == []


def test_a_kernel_without_numa_has_node_0(tmp_path: Path) -> None:
    assert online_nodes(tmp_path) == [0]


def test_the_count_file_is_by_cgroup_inode(tmp_path: Path) -> None:
    folder = "kernel/debug/shrinker/thp-deferred_split-11"
    write(tmp_path, f"{folder}/count", "1 0 3\n4242 8 64\n")
    shrinker = find_deferred_split_shrinker(tmp_path)
    assert shrinker is not None
    assert shrinker.counts() == {1: [0, 3], 4242: [8, 64]}


def test_a_scan_is_one_write_of_cgroup_node_and_count(tmp_path: Path) -> None:
    folder = "kernel/debug/shrinker/thp-deferred_split-11"
    write(tmp_path, f"{folder}/scan", "")
    shrinker = find_deferred_split_shrinker(tmp_path)
    assert shrinker is not None
    shrinker.scan(4242, 1, 16)
    assert (tmp_path / folder / "scan").read_text(encoding="ascii") == "4242 1 16"


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ("kernel/debug", "debugfs is not mounted"),
        ("kernel/debug/tracing/x", "CONFIG_SHRINKER_DEBUG"),
        ("kernel/debug/shrinker/mm-zspool-3/count", "no shrinker called thp-deferred_split"),
    ],
)
def test_what_is_missing_for_the_queue_lengths_is_told(
    there: str, reason: str, tmp_path: Path
) -> None:
    if there == "kernel/debug":
        (tmp_path / there).mkdir(parents=True)
    else:
        write(tmp_path, there, "")
    assert find_deferred_split_shrinker(tmp_path) is None
    assert reason in why_no_shrinker_debugfs(tmp_path)


def test_zoneinfo_tells_the_node_of_a_frame(tmp_path: Path) -> None:
    write(tmp_path, "zoneinfo", ZONEINFO)
    spans = read_node_spans(tmp_path)
    assert [spans.node_of(pfn) for pfn in (1, 4096, 262143, 262144, 524254)] == [0, 0, 0, 1, 1]
    assert not spans.overlap()
    with pytest.raises(LookupError, match="page frame 0 is in no zone"):
        spans.node_of(0)


def test_nodes_that_interleave_are_noticed() -> None:
    assert NodeSpans([(0, 100, 0), (50, 150, 1)]).overlap()
    assert not NodeSpans([(0, 100, 0), (50, 150, 0)]).overlap()
