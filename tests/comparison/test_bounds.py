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
from thplab.scenario.host_facts import HostFacts, NodeFacts, ZoneFacts
from thplab.scenario.loader import loads
from thplab.scenario.observation import Run
from thplab.scenario.rules import OF_CHARGES, OF_MADVISE, OF_STOCK, OF_VICTIMS
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
    { do = "map", task = "job", region = "last", size = "4M", policy = { mode = "preferred_many", nodes = [1] } },
    { do = "touch", task = "job", region = "last" },
    { do = "map", task = "job", region = "heap", size = "8M" },
    { do = "touch", task = "job", region = "heap" },
    { do = "move_pages", task = "job", region = "heap", node = 1 },
    { do = "observe", label = "end" },
]
"""


@pytest.mark.parametrize(
    ("beside", "figure"),
    [
        ({"ticks": 0}, "regions.job.more[1].huge"),  # the CPU gives the huge page back that it kept
        ({"ticks": 5}, "regions.job.last[1].huge"),  # it does so later
        ({"reclaims": True}, "regions.job.heap[1].huge"),  # what reclaim finds makes room for one
    ],
)
def test_what_the_kernel_does_by_its_own_clock_is_within_the_range(
    beside: dict[str, int], figure: str, facts: HostFacts
) -> None:
    """Seen on 6.12 and 7.3, which differed in each of these figures."""
    scenario = loads(FULL)
    # There is room for an even number of huge pages, and for half of one.
    node = facts.nodes[1]
    room = node.free - node.left_at("min")
    node = node.with_more_free(236 * 512 + 256 - room, 0)
    node = msgspec.structs.replace(node, reclaimable=400)
    some = msgspec.structs.replace(facts, nodes=(facts.nodes[0], node))
    happened = msgspec.structs.replace(some, **beside)
    release = release_named("7.3")
    kernel_run = msgspec.structs.replace(
        model.run(scenario, release=release, facts=happened), backend="kernel", host=some
    )
    verification = verify_beside(scenario, kernel_run)
    assert not verification.failed
    assert figure in {str(one.figure) for one in verification.figures if one.judgement == "within"}


# What else a kernel decides by the pages or by the moment


NEAR_A_LIMIT = """
name = "near-a-limit"
summary = "The holes of huge pages are filled again, up to 32 base pages below the limit."
host = { nodes = ["64M", "64M"] }
cgroups = { "/job" = {}, "/idle" = {} }
tasks = { job = { cgroup = "/job" } }
steps = [
    { do = "map", task = "job", region = "heap", size = "8M" },
    { do = "touch", task = "job", region = "heap" },
    { do = "discard", task = "job", region = "heap", part = "pages 200-511 of each huge page" },
    { do = "set", file = "memory.max", value = "13M", cgroup = "/job" },
    { do = "touch", task = "job", region = "heap", write = "zeros" },
    { do = "observe", label = "end" },
]
"""
SHORT = """
name = "short"
summary = "A cgroup with two tasks loses the larger one."
host = { nodes = ["64M", "64M"] }
cgroups = { "/job" = {} }
tasks = { small = { cgroup = "/job" }, large = { cgroup = "/job" } }
steps = [
    { do = "map", task = "small", region = "heap", size = "4M" },
    { do = "touch", task = "small", region = "heap" },
    { do = "map", task = "large", region = "heap", size = "10M" },
    { do = "touch", task = "large", region = "heap" },
    { do = "set", file = "memory.max", value = "11M", cgroup = "/job" },
    { do = "observe", label = "end" },
]
"""
OVER_HIGH = """
name = "over-high"
summary = "A task crosses memory.high with two huge pages, of which none is underused."
host = { nodes = ["64M", "64M"], thp = { khugepaged = { max_ptes_none = 511 } } }
cgroups = { "/job" = {} }
tasks = { job = { cgroup = "/job" } }
steps = [
    { do = "set", file = "memory.high", value = "1M", cgroup = "/job" },
    { do = "map", task = "job", region = "heap", size = "4M" },
    { do = "touch", task = "job", region = "heap" },
    { do = "observe", label = "end" },
]
"""


ADVISED = """
name = "advised"
summary = "MADV_HUGEPAGE registers memory that was touched, and so wakes khugepaged."
cgroups = { "/job" = {} }
tasks = { job = { cgroup = "/job" } }
steps = [
    { do = "map", task = "job", region = "heap", size = "4M", thp = "nohugepage" },
    { do = "touch", task = "job", region = "heap" },
    { do = "advise", task = "job", region = "heap", advice = "hugepage" },
    { do = "observe", label = "woken" },
    { do = "set", file = "khugepaged/scan_sleep_millisecs", value = 100 },
    { do = "wait", seconds = 1 },
    { do = "observe", label = "end" },
]
[host]
nodes = ["64M", "64M"]
[host.thp.khugepaged]
awake = true
scan_sleep_millisecs = 1000000000
pages_to_scan = 1048576
"""


def small_host() -> HostFacts:
    """Two nodes of 64M with nothing in use."""
    zone = ZoneFacts(
        name="Normal", managed=16384, free=16384, min=256, low=320, high=384, reserve=0, pagesets=0
    )
    node = NodeFacts(zones=(zone,), whole=16384, reclaimable=0, cpus=1)
    return HostFacts(nodes=(node, node))


def kernel_with(scenario: Scenario, **really: object) -> Run:
    """What a kernel sees of which `really` is true, although the agent could not tell."""
    release, facts = release_named("7.3"), small_host()
    seen = model.run(scenario, release=release, facts=msgspec.structs.replace(facts, **really))
    return msgspec.structs.replace(seen, backend="kernel", title="bzImage", host=facts)


@pytest.mark.parametrize(
    ("text", "really", "why"),
    [
        (NEAR_A_LIMIT, {"charged": {"/job": 97}}, OF_CHARGES),
        (SHORT, {"second_victims": 1}, OF_VICTIMS),
        (OVER_HIGH, {"stock_empty": True}, OF_STOCK),
        (ADVISED, {"misses_madvise": True}, OF_MADVISE),
    ],
)
def test_what_the_agent_cannot_tell_makes_a_range_with_its_reason(
    text: str, really: dict[str, object], why: str
) -> None:
    scenario = loads(text)
    kernel = kernel_with(scenario, **really)
    if "charged" in really:
        assert kernel.host is not None
        kernel.host = msgspec.structs.replace(kernel.host, charged={"/job": 0})
    verification = verify_beside(scenario, kernel)
    assert verification.complaints == []
    assert why in {one.why for one in verification.figures if one.judgement == "within"}


def test_a_limit_decides_only_within_what_processes_are_charged_for() -> None:
    """The zero pages are 0, 600 or 800, as the processes have up to 32, up to 644 or 344 base pages."""
    scenario = loads(NEAR_A_LIMIT)
    kernel = kernel_with(scenario, charged={"/job": 97})
    assert kernel.host is not None
    kernel.host = msgspec.structs.replace(kernel.host, charged={"/job": 0})
    kernel.observations[-1].regions["job.heap"].zero = 801
    assert [str(one.figure) for one in verify_beside(scenario, kernel).differences] == [
        "regions.job.heap.zero"
    ]


def test_where_the_kernel_killed_no_more_tasks_a_second_victim_explains_nothing() -> None:
    scenario = loads(SHORT)
    kernel = kernel_with(scenario)
    kernel.observations[-1].cgroups["/job"][0].huge = 0
    assert {str(one.figure) for one in verify_beside(scenario, kernel).differences} == {
        "cgroups./job[0].huge"
    }


def test_what_a_pass_missed_the_next_one_does() -> None:
    scenario = loads(ADVISED)
    kernel = kernel_with(scenario, misses_madvise=True)
    assert [one.regions["job.heap"].nodes[0].huge for one in kernel.observations] == [0, 2]
    kernel.observations[-1].regions["job.heap"].nodes[0].huge = 0
    assert [str(one.figure) for one in verify_beside(scenario, kernel).differences] == [
        "regions.job.heap[0].huge"
    ]
