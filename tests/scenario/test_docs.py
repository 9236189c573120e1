# SPDX-License-Identifier: GPL-2.0-only
"""docs/scenarios.md says what the loader does: its examples work. Its tables are generated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scenario.scenario_text import HEAD
from thplab.backends import model
from thplab.scenario.claims import evaluate
from thplab.scenario.loader import loads

TEXT = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
MAP = """
[[steps]]
do = "map"
task = "worker"
region = "heap"
size = "256M"
"""
EIGHT_NODES = HEAD.replace('"1G", "1G"', ", ".join(['"1G"'] * 8))
OBSERVE = '\n[[steps]]\ndo = "observe"\nlabel = "{}"\n'


def test_the_whole_example_runs_and_its_claim_holds() -> None:
    scenario = loads(BLOCKS[0])
    for design in ("split_queue", "list_lru"):
        (result,) = evaluate(scenario, model.run(scenario, design))
        assert result.verdict == "held"


@pytest.mark.parametrize(
    "text",
    [
        EIGHT_NODES.split("[cgroups]", maxsplit=1)[0] + BLOCKS[1],
        HEAD.split("[host]", maxsplit=1)[0] + BLOCKS[2] + OBSERVE.format("x"),
        HEAD.split("[cgroups]", maxsplit=1)[0] + BLOCKS[3] + OBSERVE.format("x"),
        HEAD.replace("/victim", "/job").replace("victim", "worker") + MAP + BLOCKS[4],
        HEAD
        + (MAP.replace("worker", "victim").replace("heap", "far") + OBSERVE.format("queued"))
        + (OBSERVE.format("after") + BLOCKS[5]),
    ],
    ids=["braces", "host", "cgroups", "steps", "claim"],
)
def test_every_example_is_taken(text: str) -> None:
    loads(text)
    assert len(BLOCKS) == 6
