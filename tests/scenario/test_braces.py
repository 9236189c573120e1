# SPDX-License-Identifier: GPL-2.0-only
"""Ranges in braces."""

from __future__ import annotations

from typing import Any

import pytest

from thplab.scenario.braces import expand
from thplab.scenario.errors import ScenarioError
from thplab.scenario.loader import loads

MANY = """
name = "many"
summary = "Many jobs."
[host]
nodes = ["1G", "1G"]
[cgroups]
"/job{00..11}" = { "memory.max" = "2G" }
[tasks]
"job{00..11}" = { cgroup = "/job{00..11}" }
[[steps]]
do = "map"
task = "job{00..11}"
region = "heap"
size = "4M"
node = "{0..1}"
[[steps]]
do = "touch"
task = "job{00..11}"
region = "heap"
[[steps]]
do = "observe"
label = "after"
[[claims]]
at = "after"
value = "regions.job*.heap.huge"
expect = "== 24"
"""


def test_a_table_without_ranges_stands_for_itself() -> None:
    table = {"do": "touch", "task": "victim", "n": 3, "list": [1, "x"]}
    assert expand(table) == [table]


def test_ranges_count_together_and_shorter_ones_start_again() -> None:
    tables = expand({"task": "job{08..11}", "node": "{0..1}", "deep": [{"x": "a{1..4}b"}]})
    assert [(t["task"], t["node"], t["deep"][0]["x"]) for t in tables] == [
        ("job08", 0, "a1b"),
        ("job09", 1, "a2b"),
        ("job10", 0, "a3b"),
        ("job11", 1, "a4b"),
    ]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"task": "job{3..1}"}, "empty"),
        ({"task": "job{0..99999}"}, "numbers"),
        ({"task": "job{0..9}", "node": "{0..2}"}, r"\{0..2\} does not divide that of \{0..9\}"),
    ],
)
def test_ranges_that_cannot_be_are_refused(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(ScenarioError, match=problem):
        expand(table)


def test_a_scenario_with_ranges_has_every_cgroup_task_and_step() -> None:
    scenario = loads(MANY)
    assert list(scenario.cgroups) == [f"/job{number:02}" for number in range(12)]
    assert scenario.tasks["job07"].cgroup == "/job07"
    assert len(scenario.steps) == 25
    assert [step.node for step in scenario.steps[:4] if hasattr(step, "node")] == [0, 1, 0, 1]


def test_steps_keep_the_number_that_they_have_in_the_file() -> None:
    scenario = loads(MANY)
    assert scenario.where(0) == "step 1 (map)"
    assert scenario.where(11) == "step 1 (map)"
    assert scenario.where(12) == "step 2 (touch)"
    assert scenario.where(24) == "step 3 (observe)"


def test_a_mistake_in_an_expanded_step_names_the_task_and_the_files_step() -> None:
    text = MANY.replace(
        'task = "job{00..11}"\nregion = "heap"\n[[', 'task = "job{01..12}"\nregion = "heap"\n[['
    )
    with pytest.raises(ScenarioError, match=r'step 2 \(touch\): there is no task "job12"'):
        loads(text)
