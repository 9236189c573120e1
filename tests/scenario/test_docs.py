# SPDX-License-Identifier: GPL-2.0-only
"""docs/scenarios.md says what the loader does: its examples work, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import fields

from tests.scenario.scenario_text import HEAD
from thplab.backends import model
from thplab.scenario.claims import evaluate
from thplab.scenario.figures import FIGURES
from thplab.scenario.loader import loads
from thplab.scenario.parts import PARTS
from thplab.scenario.schema import AnyStep
from thplab.scenario.tunables import CGROUP_FILES, TUNABLES

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


def test_the_table_of_steps_has_every_step_with_its_keys() -> None:
    for step in get_args(AnyStep):
        row = re.search(rf"^\| {step.__struct_config__.tag} \|(.*)\|$", TEXT, re.MULTILINE)
        assert row, step
        whole = "whole region" in row[1]
        for field in fields(step):
            if whole and field.name in {"offset", "length", "part"}:
                continue
            assert re.search(rf"\b{field.encode_name}\b", row[1]), (step, field.encode_name)


def test_every_figure_part_and_tunable_is_named() -> None:
    for names in FIGURES.values():
        assert all(f".{name}`" in TEXT for name in names)
    assert all(f'`"{part}"`' in TEXT for part in PARTS)
    assert all(name in TEXT for name in (*TUNABLES, *CGROUP_FILES))
