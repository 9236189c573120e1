# SPDX-License-Identifier: GPL-2.0-only
"""Figures that depend on what a node had are compared by range; all others stay exact."""

from __future__ import annotations

import copy
from pathlib import Path

import msgspec
import pytest

from thplab.backends import model
from thplab.comparison.bounds import free_memory_bounds, most_charged, verify_beside
from thplab.observe.zoneinfo import read_host_facts
from thplab.releases.named import release_named
from thplab.scenario.host_facts import HostFacts
from thplab.scenario.loader import loads
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

PROC = Path(__file__).parents[1] / "data" / "host"
FILL = """
name = "fill"
summary = "A task outgrows its node, another one has huge pages on the next."
host = { nodes = ["512M", "512M"] }
cgroups = { "/job" = {} }
tasks = { job = { cgroup = "/job" } }
steps = [
    { do = "map", task = "job", region = "fill", size = "480M", thp = "nohugepage" },
    { do = "touch", task = "job", region = "fill" },
    { do = "map", task = "job", region = "heap", size = "8M", node = 1 },
    { do = "touch", task = "job", region = "heap" },
    { do = "observe", label = "end" },
]
"""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """One that fills node 0."""
    return loads(FILL)


@pytest.fixture(scope="module")
def facts() -> HostFacts:
    """Those of a guest with two nodes of 512M."""
    return read_host_facts(2, PROC)


@pytest.fixture
def kernel_run(scenario: Scenario, facts: HostFacts) -> Run:
    """A kernel that saw what the model sees."""
    seen = model.run(scenario, release=release_named("7.3"), facts=facts)
    return msgspec.structs.replace(copy.deepcopy(seen), backend="kernel", title="bzImage")


def shift(run: Run, region: str, pages: int) -> None:
    """Have base pages of a region on node 1 instead of node 0."""
    nodes = run.observations[-1].regions[region].nodes
    for node, sign in zip(nodes, (-1, 1), strict=True):
        assert node.base is not None
        node.base += sign * pages


def test_a_few_pages_more_on_the_next_node_are_within_the_range(
    scenario: Scenario, kernel_run: Run
) -> None:
    shift(kernel_run, "job.fill", 700)
    verification = verify_beside(scenario, kernel_run)
    assert not verification.failed
    why = {one.why for one in verification.figures if one.judgement == "within"}
    assert any("a range" in text for text in why)


def test_more_than_the_processes_can_have_differs(scenario: Scenario, kernel_run: Run) -> None:
    shift(kernel_run, "job.fill", 30000)
    differing = {str(one.figure) for one in verify_beside(scenario, kernel_run).differences}
    assert differing == {"regions.job.fill[0].base", "regions.job.fill[1].base"}


def test_a_figure_that_free_memory_does_not_decide_stays_exact(
    scenario: Scenario, kernel_run: Run
) -> None:
    """Node 1 has room enough, so each of the four huge pages is there."""
    kernel_run.observations[-1].regions["job.heap"].nodes[1].huge = 3
    differing = {str(one.figure) for one in verify_beside(scenario, kernel_run).differences}
    assert differing == {"regions.job.heap[1].huge"}


def test_without_facts_every_figure_is_exact(scenario: Scenario, kernel_run: Run) -> None:
    shift(kernel_run, "job.fill", 1)
    blind = msgspec.structs.replace(kernel_run, host=None)
    assert verify_beside(scenario, blind).failed


def test_the_bounds_are_what_processes_tables_and_lists_take(
    scenario: Scenario, facts: HostFacts
) -> None:
    less, more = free_memory_bounds(scenario, facts.nodes[1])
    lists = 124
    processes = 2 * 512  # the task and the agent
    tables = 244
    assert (less, more) == (lists + processes + tables, lists + processes + 5)


def test_the_processes_of_a_cgroup_are_charged_for_what_they_may_have(scenario: Scenario) -> None:
    process, tables, in_advance = 512, 244, 2 * 64
    assert most_charged(scenario, "/job", 30) == 30 + process + tables + in_advance
    assert most_charged(scenario, "/idle", 0) == tables + in_advance


FULL = """
name = "full"
summary = "A node is full of huge pages, and more are to come there."
host = { nodes = ["512M", "512M"] }
cgroups = { "/job" = {} }
tasks = { job = { cgroup = "/job" } }
steps = [
    { do = "map", task = "job", region = "fill", size = "504M", policy = { mode = "preferred", nodes = [1] } },
    { do = "touch", task = "job", region = "fill", part = "first page of each huge page" },
    { do = "map", task = "job", region = "more", size = "4M", policy = { mode = "preferred_many", nodes = [1] } },
    { do = "touch", task = "job", region = "more" },
    { do = "map", task = "job", region = "heap", size = "8M" },
    { do = "touch", task = "job", region = "heap" },
    { do = "move_pages", task = "job", region = "heap", node = 1 },
    { do = "observe", label = "end" },
]
"""


@pytest.mark.parametrize(
    ("beside", "figure"),
    [
        ("ticks", "regions.job.more[1].huge"),  # the CPU gives the huge page back that it kept
        ("reclaims", "regions.job.heap[1].huge"),  # what reclaim finds makes room for one
    ],
)
def test_what_the_kernel_does_by_its_own_clock_is_within_the_range(
    beside: str, figure: str, facts: HostFacts
) -> None:
    """Seen on 6.12 and 7.3, which differed in each of these figures."""
    scenario = loads(FULL)
    # There is room for an even number of huge pages, and for half of one.
    node = facts.nodes[1]
    room = node.free - node.left_at("min")
    node = node.with_more_free(236 * 512 + 256 - room, 0)
    node = msgspec.structs.replace(node, reclaimable=400)
    some = msgspec.structs.replace(facts, nodes=(facts.nodes[0], node))
    happened = msgspec.structs.replace(some, **{beside: True})
    release = release_named("7.3")
    kernel_run = msgspec.structs.replace(
        model.run(scenario, release=release, facts=happened), backend="kernel", host=some
    )
    verification = verify_beside(scenario, kernel_run)
    assert not verification.failed
    assert figure in {str(one.figure) for one in verification.figures if one.judgement == "within"}
