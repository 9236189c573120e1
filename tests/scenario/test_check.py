# SPDX-License-Identifier: GPL-2.0-only
"""What a scenario must keep to as a whole: names, the host, what is alive and mapped at each step."""

from __future__ import annotations

import pytest

from tests.scenario.scenario_text import FAR, HEAD, scenario_text
from thplab.scenario.errors import ScenarioError
from thplab.scenario.loader import loads

Table = dict[str, object]
HALF = "upper half of each huge page"
OBSERVE: Table = {"do": "observe", "label": "after"}


def on(do: str, **keys: object) -> Table:
    """A step on the region far of task victim."""
    return {"do": do, "task": "victim", "region": "far", **keys}


def complaint(text: str) -> str:
    """What the loader says of a wrong scenario."""
    with pytest.raises(ScenarioError) as caught:
        loads(text)
    message = str(caught.value)
    assert "; " in message, "a remedy is missing"
    return message.removeprefix("<text>: ")


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            [{**FAR, "task": "victm"}],
            'step 1 (map): there is no task "victm"; did you mean "victim"?',
        ),
        ([{**FAR, "node": 2}], "step 1 (map): there is no node 2; the host has nodes 0 to 1"),
        ([{**FAR, "node": -1}], "there is no node -1"),
        ([{**FAR, "size": "6000"}], "no unit"),
        ([{**FAR, "size": "2.5K"}], "whole pages of 4K"),
        ([{**FAR, "size": "0"}], "whole pages of 4K"),
        ([{**FAR, "size": "100T"}], "whole pages of 4K"),
        ([{**FAR, "region": "a.b"}], "cannot be the name of a region"),
        ([{**FAR, "policy": {"mode": "bind", "nodes": [0]}}], "both node and policy"),
        ([FAR, FAR], 'step 2 (map): task "victim" has a region "far" already'),
        ([on("touch")], 'task "victim" has no region "far"; there are no regions'),
        ([FAR, on("touch", region="fra")], 'no region "fra"; did you mean "far"?'),
        ([FAR, on("touch", part="upper part")], 'there is no part "upper part"; a part is one of'),
        ([FAR, on("touch", offset="200M")], "200M is outside region"),
        ([FAR, on("touch", offset="64M", length="65M")], "64M to 129M is outside region"),
        ([FAR, on("touch", offset="1K")], "not in whole pages"),
        ([FAR, on("touch", length="1K")], "not in whole pages"),
        ([FAR, on("touch", length="0")], "the range is empty"),
        ([FAR, on("unmap", part=HALF), on("touch")], "unmapped at step 2 (unmap)"),
        ([FAR, on("unmap"), on("unmap")], "unmapped at step 2 (unmap)"),
        ([FAR, on("advise", advice="hugepage", part=HALF)], "for a whole region"),
        ([FAR, on("advise", advice="collapse", part=HALF)], "whole huge pages"),
        ([FAR, on("lock", length="2M")], "lock is for a whole region"),
        ([FAR, on("move_pages", node=7)], "there is no node 7"),
        ([{"do": "exit", "task": "victim"}, FAR], 'task "victim" has ended at step 1 (exit)'),
        ([{"do": "pressure", "task": "hog", "node": 9}], "there is no node 9"),
        (
            [{"do": "pressure", "task": "hog", "node": 0}, {"do": "exit", "task": "hog"}],
            "has ended at step 1 (pressure)",
        ),
        ([{"do": "fork", "task": "victim", "child": "hog"}], 'a task "hog" already'),
        ([{"do": "move_task", "task": "hog", "cgroup": "victim"}], 'no cgroup "victim"'),
        ([{"do": "move_task", "task": "hog", "cgroup": "/jobs"}], '"/jobs" has children'),
        ([{"do": "reclaim", "size": "1M"}], "a cgroup or a node, and not both"),
        ([{"do": "reclaim", "size": "1M", "cgroup": "/", "node": 0}], "and not both"),
        ([{"do": "reclaim", "size": "0", "node": 0}], "the size is 0"),
        ([{"do": "set", "file": "enable", "value": "always"}], 'did you mean "enabled"?'),
        ([{"do": "set", "file": "enabled", "value": "sometimes"}], "it takes"),
        ([{"do": "set", "file": "shrink_underused", "value": 2}], "1 or 0"),
        ([{"do": "set", "file": "memory.max", "value": "1M"}], 'cgroup = "/victim"'),
        ([{"do": "set", "file": "memory.max", "value": 1, "cgroup": "/victim"}], "no unit"),
        ([{"do": "set", "file": "memory.mx", "value": "1M", "cgroup": "/victim"}], "memory.max"),
        ([{"do": "set", "file": "memory.max", "value": "1M", "cgroup": "/"}], "root"),
        ([{"do": "shrink", "cgroup": "/victim", "node": 0, "count": -1}], "the count is -1"),
        ([{"do": "shrink", "cgroup": "/victm", "node": 0, "count": 1}], 'did you mean "/victim"?'),
        ([{"do": "rmdir", "cgroup": "/victim"}], 'has the task "victim" in it'),
        ([{"do": "rmdir", "cgroup": "/jobs"}], 'has the child "/jobs/one"'),
        ([{"do": "rmdir", "cgroup": "/"}], "root cgroup cannot be removed"),
        (
            [{"do": "rmdir", "cgroup": "/jobs/one"}, {"do": "rmdir", "cgroup": "/jobs/one"}],
            'step 2 (rmdir): the cgroup "/jobs/one" was removed at step 1 (rmdir)',
        ),
        ([{"do": "wait", "seconds": 0}], "seconds is 0"),
        ([OBSERVE, OBSERVE], 'an observation "after" already'),
    ],
)
def test_a_step_that_cannot_be_carried_out_is_refused(steps: list[Table], told: str) -> None:
    assert told in complaint(scenario_text(*steps))


@pytest.mark.parametrize(
    "steps",
    [
        [FAR, on("unmap", part=HALF), on("touch", part="lower half of each huge page")],
        [FAR, on("unmap", offset="64M"), on("touch", length="64M")],
        [{"do": "rmdir", "cgroup": "/jobs/one"}, {"do": "rmdir", "cgroup": "/jobs"}],
        [{"do": "exit", "task": "victim"}, {"do": "rmdir", "cgroup": "/victim"}],
        [FAR, {"do": "fork", "task": "victim", "child": "kid"}, on("touch", task="kid")],
        [{"do": "set", "file": "memory.max", "value": "max", "cgroup": "/victim"}],
        [{"do": "set", "file": "memory.low", "value": 0, "cgroup": "/victim"}],
        [{"do": "set", "file": "khugepaged/max_ptes_none", "value": "409"}],
        [
            {"do": "rmdir", "cgroup": "/jobs/one"},
            {"do": "move_task", "task": "hog", "cgroup": "/jobs"},
        ],
    ],
)
def test_steps_that_can_be_carried_out_are_taken(steps: list[Table]) -> None:
    assert len(loads(scenario_text(*steps)).steps) == len(steps)


def test_unmapped_parts_are_inherited_by_a_child() -> None:
    steps: list[Table] = [FAR, on("unmap"), {"do": "fork", "task": "victim", "child": "kid"}]
    assert "unmapped at step 2" in complaint(scenario_text(*steps, on("touch", task="kid")))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["1G", "1G"]', "[]", "there are 0 nodes; a host has 1 to 64"),
        ('["1G", "1G"]', '["1M"]', "node 0 has 1M"),
        ('["1G", "1G"]', '["1.0005G"]', "not a whole number of bytes"),
        ('["1G", "1G"]', '["65T"]', "64T are possible"),
        ('["1G", "1G"]', '["1G", "1G"]\ndistances = [[10, 20]]', "distances"),
        ('["1G", "1G"]', '["1G", "1G"]\ndistances = [[10, 5], [20, 10]]', "node 0 to node 1 is 5"),
        ('["1G", "1G"]', '["1G", "1G"]\nmemcg = "off"', "memcg cannot be"),
        ('["1G", "1G"]', '["1G"]\nthp = { khugepaged = { max_ptes_none = 512 } }', "0 to 511"),
        ('"/victim" = {}', '"victim" = {}', 'did you mean "/victim"?'),
        ('"/victim" = {}', '"/victim/" = {}', "is not a cgroup"),
        ('"/victim" = {}', '"/memory.max" = {}', "kernel has files"),
        ('"/victim" = {}', '"/" = {}', "leave it out"),
        ('"/victim" = {}', f'"{"/x" * 17}" = {{}}', "17 levels deep"),
        ('"/victim" = {}', f'"/{"x" * 65}" = {{}}', "is not a cgroup"),
        ("hog =", f"{'h' * 65} =", "too long"),
        ("hog =", '"hog{0..1}" = {}\nhog1 =', "the name occurs twice"),
        ("hog =", '"hog{0..9999}" = {}\n"pig{0..9999}" = {}\n"cow{0..9}" =', "more than 20000"),
        ("[tasks]", "[tasks]\nhog2 = 3", "expected a table, got a whole number"),
        ('"/victim" = {}', '"/victim" = { "memory.max" = 3 }', "no unit"),
        (
            '"/victim" = {}',
            '"/victim" = { max = "1G" }',
            'unknown key "max"; the keys are "memory.max"',
        ),
        ('cgroup = "/victim"', 'cgroup = "/victm"', 'did you mean "/victim"?'),
        ('cgroup = "/victim"', 'cgroup = "/jobs"', "has children"),
        ("oom_score_adj = 1000", "oom_score_adj = 1001", "-1000 to 1000"),
        ("oom_score_adj = 1000", 'policy = { mode = "bind" }', "has no nodes"),
        ("oom_score_adj = 1000", 'policy = { mode = "bind", nodes = [0, 0] }', "twice"),
        ("oom_score_adj = 1000", 'policy = { mode = "local", nodes = [0] }', "takes no nodes"),
        ("oom_score_adj = 1000", 'policy = { mode = "preferred", nodes = [0, 1] }', "several"),
        (
            "oom_score_adj = 1000",
            'policy = { mode = "preferred", nodes = [0, 1] }',
            'use mode = "preferred_many"',
        ),
        ("oom_score_adj = 1000", 'policy = { mode = "preferred_many" }', "has no nodes"),
        ("oom_score_adj = 1000", 'policy = { mode = "weighted", nodes = [0] }', "mode cannot be"),
        ('["1G", "1G"]', '["1G", "1G"]\nweighted_interleave = [1]', "one for each node, 2 in all"),
        ('["1G", "1G"]', '["1G", "1G"]\nweighted_interleave = [0, 1]', "weight of node 0 is 0"),
        ('["1G", "1G"]', '["1G", "1G"]\nweighted_interleave = [1, 256]', "from 1 to 255"),
        ("hog =", '"a b" =', "cannot be the name of a task"),
        ('name = "test"', 'name = "te st"', "name of a scenario"),
        ('"A scenario for tests."', '" "', "summary is empty"),
    ],
)
def test_a_wrong_head_is_refused(old: str, new: str, told: str) -> None:
    assert old in HEAD
    assert told in complaint(scenario_text(OBSERVE, head=HEAD.replace(old, new)))


def test_policies_that_begin_anew_too_seldom_are_refused() -> None:
    """Each region has to begin at a multiple of all their turns together."""
    nodes = 'nodes = ["1G", "1G", "1G", "1G"]\nweighted_interleave = [255, 254, 255, 2]'
    head = HEAD.replace('nodes = ["1G", "1G"]', nodes)
    assert nodes in head
    steps = [
        {
            "do": "map",
            "task": "hog",
            "region": f"r{number}",
            "size": "2M",
            "policy": {"mode": "weighted_interleave", "nodes": list(chosen)},
        }
        for number, chosen in enumerate(((0, 1), (1, 2), (0, 3)))
    ]
    loads(scenario_text(*steps[:2], head=head))
    told = complaint(scenario_text(*steps, head=head))
    assert "step 3 (map)" in told
    assert "begin anew only after" in told


def test_a_host_without_memory_controller_has_no_limits() -> None:
    disabled = HEAD.replace("[cgroups]", 'memcg = "disabled"\n[cgroups]')
    limited = disabled.replace('"/victim" = {}', '"/victim" = { "memory.max" = "1G" }')
    assert "no memory limits" in complaint(scenario_text(OBSERVE, head=limited))
    reclaim = {"do": "reclaim", "cgroup": "/victim", "size": "1M"}
    assert "no memory controller" in complaint(scenario_text(reclaim, head=disabled))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"at": "afetr"}, 'claim 1: there is no observation "afetr"; did you mean "after"?'),
        ({"since": "after"}, "is not before"),
        ({"value": "region.victim.far.huge"}, "there is no figure"),
        ({"value": "regions.victim.fra.huge"}, 'no region "victim.fra" at that moment'),
        ({"value": "regions.hog.far.huge"}, 'no region "hog.far" at that moment'),
        ({"value": "regions.victim.far.hugs"}, "regions have the figures huge"),
        ({"value": "regions.victim.far[1].absent"}, "belongs to no node"),
        ({"value": "regions.victim.far[2].huge"}, "there is no node 2"),
        ({"value": "cgroups./victm[0].queue"}, 'did you mean "/victim"?'),
        ({"value": "nodes[2].free"}, "there is no node 2"),
        ({"expect": "= 3"}, 'cannot expect "= 3"'),
        ({"expect": "8..7"}, "backwards"),
        ({"expect": {}}, "expect is empty"),
        ({"expect": {"no design": "== 1"}}, "cannot be the name of a design"),
        ({"expect": {"*": "~ 3"}}, "cannot expect"),
        ({"expect": 3}, 'cannot expect "3"'),
    ],
)
def test_a_wrong_claim_is_refused(change: Table, told: str) -> None:
    claim: Table = {"at": "after", "value": "regions.victim.far.huge", "expect": "== 64"}
    assert told in complaint(scenario_text(FAR, OBSERVE, claims=[{**claim, **change}]))


def test_a_claim_on_a_task_that_has_ended_is_refused() -> None:
    claim: Table = {"at": "after", "value": "regions.victim.far.huge", "expect": "== 64"}
    text = scenario_text(FAR, {"do": "exit", "task": "victim"}, OBSERVE, claims=[claim])
    assert "at that moment" in complaint(text)


def test_a_scenario_has_a_bounded_number_of_claims_and_steps() -> None:
    claim: Table = {"at": "after", "value": "nodes.free", "expect": "> 0"}
    assert "there are 1001 claims" in complaint(scenario_text(OBSERVE, claims=[claim] * 1001))
    steps = [{**FAR, "region": f"r{number}-{{0..9999}}"} for number in range(6)]
    assert "more than 50000 steps" in complaint(scenario_text(*steps))


def test_a_region_is_unmapped_in_a_bounded_number_of_places() -> None:
    steps = [on("unmap", offset=f"{number}M", length="4K") for number in range(128)]
    assert loads(scenario_text(FAR, *steps[:127]))
    more = on("unmap", offset="512K", length="4K")
    assert "already has 128 unmapped parts" in complaint(scenario_text(FAR, *steps, more))
