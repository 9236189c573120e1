# SPDX-License-Identifier: GPL-2.0-only
"""The model with the nodes that a kernel had."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from thplab.api.entry import run
from thplab.backends import model
from thplab.comparison.bounds import verify_beside
from thplab.comparison.comparison import compare
from thplab.designs import load
from thplab.errors import InputError
from thplab.observe.zoneinfo import read_host_facts
from thplab.releases.named import release_named
from thplab.report.json_text import comparison_json
from thplab.report.verification import verification_json
from thplab.scenario.host_facts import HostFacts, load_host_facts
from thplab.scenario.loader import loads
from thplab.scenario.schema import Scenario

PROC = Path(__file__).parents[1] / "data" / "host"
FILL = """
name = "fill"
summary = "A task outgrows its node."
host = { nodes = ["512M", "512M"] }
cgroups = { "/job" = {} }
tasks = { job = { cgroup = "/job" } }
steps = [
    { do = "map", task = "job", region = "heap", size = "600M", thp = "nohugepage" },
    { do = "touch", task = "job", region = "heap" },
    { do = "observe", label = "end" },
]
"""


@pytest.fixture
def scenario() -> Scenario:
    """A task with more base pages than node 0 has."""
    return loads(FILL)


@pytest.fixture
def facts() -> HostFacts:
    """Those of a guest with two nodes of 512M."""
    return read_host_facts(2, PROC)


def test_a_node_gives_what_it_has_down_to_the_low_watermark(
    scenario: Scenario, facts: HostFacts
) -> None:
    """Base pages spill to the next node at the low watermark."""
    (seen,) = model.run(scenario, facts=facts).observations
    first = seen.regions["job.heap"].nodes[0]
    assert first.base == facts.nodes[0].free - facts.nodes[0].left_at("low")
    assert seen.nodes[0].free == facts.nodes[0].left_at("low") * 4096


HUGE = FILL.replace(
    '{ do = "touch", task = "job", region = "heap" },',
    """{ do = "touch", task = "job", region = "heap", part = "first page of each huge page" },
    { do = "observe", label = "full" },
    { do = "map", task = "job", region = "more", size = "4M", policy = { mode = "preferred_many", nodes = [1] } },
    { do = "touch", task = "job", region = "more" },""",
).replace(', thp = "nohugepage"', ', policy = { mode = "preferred", nodes = [1] }')


@pytest.mark.parametrize(
    ("left_out", "huge", "later"),
    [
        ((), 237, 1),
        # Up to 6.6 nobody makes the CPU give it back, and before 5.14 it keeps none.
        (("counters_drain_cpus",), 237, 0),
        (("cpus_keep_huge_pages",), 238, 0),
    ],
)
def test_a_huge_page_waits_on_the_list_of_a_cpu_until_somebody_folds_the_counters(
    left_out: tuple[str, ...], huge: int, later: int, facts: HostFacts
) -> None:
    """Above the min watermark of node 1 there is room for 238. The CPU takes two at a time, so one remains to
    it when no third fits; the observation makes it free again (seen in /proc/zoneinfo of 6.12 and 7.3).
    """
    node = facts.nodes[1].with_more_free(100, 0)
    assert (node.free - node.left_at("min")) // 512 == 238
    some = msgspec.structs.replace(facts, nodes=(facts.nodes[0], node))
    release = release_named("7.3").differing(**dict.fromkeys(left_out, False))
    full, end = model.run(loads(HUGE), release=release, facts=some).observations
    assert full.regions["job.heap"].nodes[1].huge == huge
    assert end.regions["job.more"].nodes[1].huge == later


def test_reclaim_finds_the_files_but_no_more_than_the_node_has_memory_in_use(
    scenario: Scenario, facts: HostFacts
) -> None:
    emptier = tuple(node.with_more_free(1 << 20, 0) for node in facts.nodes)
    release = release_named("7.3")
    found = []
    for nodes in (facts.nodes, emptier):
        supposed = msgspec.structs.replace(facts, nodes=nodes, reclaims=True)
        machine = model.build_machine(scenario.host, load(release.design), release, supposed)
        found.append([int(node.files) for node in machine.pages.nodes])
    lists = (4 + 4 + 124 + 124, 124)
    in_use = [node.managed - node.free for node in emptier]
    assert found == [[1843 + 2 + 700 + lists[0], 5 + lists[1]], in_use]


def test_without_facts_the_nodes_are_those_of_the_scenario(scenario: Scenario) -> None:
    (seen,) = model.run(scenario).observations
    assert (seen.regions["job.heap"].nodes[0].base or 0) > 120000


def test_facts_about_another_number_of_nodes_are_refused(
    scenario: Scenario, facts: HostFacts
) -> None:
    other = msgspec.structs.replace(facts, nodes=facts.nodes[:1])
    with pytest.raises(InputError, match="has 2 nodes, the facts are about 1"):
        model.run(scenario, facts=other)


def test_what_processes_are_charged_counts_against_the_limit(facts: HostFacts) -> None:
    """Two huge pages fit below 4M, but only one beside 300 pages of the process."""
    two = loads(
        FILL.replace('"/job" = {}', '"/job" = { "memory.max" = "4M" }')
        .replace("600M", "4M")
        .replace(', thp = "nohugepage"', "")
    )
    charged = msgspec.structs.replace(facts, charged={"/job": 300})
    made = [
        model.run(two, facts=one).observations[-1].vmstat["thp_fault_alloc"]
        for one in (facts, charged)
    ]
    assert made == [2, 1]


def test_a_result_repeats_the_run_without_the_kernel(
    scenario: Scenario, facts: HostFacts, tmp_path: Path
) -> None:
    first = model.run(scenario, facts=facts)
    result = tmp_path / "result.json"
    result.write_text(comparison_json(compare(scenario, [first])), encoding="utf-8")
    assert load_host_facts(result) == facts
    again = run(scenario, host_from=result)
    assert again.run.observations == first.observations


def test_what_verify_wrote_has_the_nodes_of_each_scenario(
    scenario: Scenario, facts: HostFacts, tmp_path: Path
) -> None:
    kernel = msgspec.structs.replace(model.run(scenario, facts=facts), backend="kernel")
    first = verify_beside(scenario, kernel)
    other = msgspec.structs.replace(
        first, scenario="other", host=msgspec.structs.replace(facts, charged={"/other": 7})
    )
    result = tmp_path / "result.json"
    result.write_text(verification_json([other, first]), encoding="utf-8")
    assert load_host_facts(result, "fill") == facts
    assert load_host_facts(result, "other").charged == {"/other": 7}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "this is no JSON"),
        ("{}", "does not say what nodes a kernel had"),
        ('{"columns": [{"host": null}]}', "does not say what nodes a kernel had"),
        ('{"columns": [{"host": {"nodes": [3]}}]}', "the facts about the host are wrong"),
    ],
)
def test_a_file_without_facts_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        load_host_facts(path)


@pytest.mark.parametrize(
    ("found", "changed", "reason"),
    [
        ('"free":', '"free":-', ">= 0"),
        ('"managed":', '"managed":9999999999999999', "<= 1099511627776"),
        ('"managed":', '"managed":1,"max":', "pages free of 1"),
        ('"ticks":null', '"ticks":-1', ">= 0"),
        ('"second_victims":0', '"second_victims":99999999999999999999', "<= 4611686018427387903"),
    ],
)
def test_facts_that_no_host_has_are_refused(
    found: str, changed: str, reason: str, facts: HostFacts, tmp_path: Path
) -> None:
    text = msgspec.json.encode({"columns": [{"host": facts}]}).decode()
    assert found in text
    path = tmp_path / "result.json"
    path.write_text(text.replace(found, changed, 1), encoding="utf-8")
    with pytest.raises(InputError, match=f"the facts about the host are wrong: .*{reason}"):
        load_host_facts(path)


def test_facts_of_another_scenarios_cgroups_are_refused(
    scenario: Scenario, facts: HostFacts
) -> None:
    other = msgspec.structs.replace(facts, charged={"/other": 7})
    with pytest.raises(InputError, match="fill: the facts about the host charge cgroup /other"):
        model.run(scenario, facts=other)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_host_facts(tmp_path / "none.json")
