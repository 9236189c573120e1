# SPDX-License-Identifier: GPL-2.0-only
"""The library's scenarios: each is about one question, and its claims hold on the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from thplab import designs
from thplab.backends import model
from thplab.comparison.comparison import compare
from thplab.report.json_text import comparison_json
from thplab.report.terminal import comparison_text
from thplab.scenario.library import library_files
from thplab.scenario.loader import load

SHIPPED = ("split_queue", "split_queue_reparented", "list_lru", "list_lru_v1")
LARGE = {"terabyte"}
FILES = [
    pytest.param(file, id=file.stem, marks=[pytest.mark.slow] if file.stem in LARGE else [])
    for file in library_files()
]


def test_the_library_has_enough_scenarios() -> None:
    assert len(library_files()) >= 12
    assert set(SHIPPED) <= set(designs.names())


@pytest.mark.parametrize("file", FILES)
def test_a_scenario_explains_itself(file: Path) -> None:
    scenario = load(file)
    assert scenario.name == file.stem
    assert file.read_text().startswith("# ")
    assert scenario.claims
    assert any(claim.why for claim in scenario.claims)


@pytest.mark.parametrize("file", FILES)
def test_the_claims_hold_on_every_design(file: Path) -> None:
    scenario = load(file)
    chosen = ("list_lru",) if file.stem in LARGE else SHIPPED
    comparison = compare(scenario, [model.run(scenario, design) for design in chosen])
    wrong = [
        (column.title, str(result.claim.value), str(result.expected), result.actual, result.reason)
        for column in comparison.columns
        for result in column.claims
        if result.verdict in {"failed", "unseen"}
    ]
    assert wrong == []


@pytest.mark.parametrize("file", FILES)
def test_only_the_patch_as_first_posted_is_warned_about(file: Path) -> None:
    if file.stem in LARGE:
        return
    scenario = load(file)
    for design in SHIPPED[:3]:
        assert model.run(scenario, design).warnings == []


@pytest.mark.parametrize("name", ["cover-letter", "offline-cgroup", "debugfs-scan"])
def test_the_table_is_as_it_was(name: str, snapshot: SnapshotAssertion) -> None:
    scenario = load(next(file for file in library_files() if file.stem == name))
    runs = [model.run(scenario, design) for design in SHIPPED]
    assert comparison_text(compare(scenario, runs), width=100) == snapshot


@pytest.mark.parametrize("name", ["cover-letter", "nokmem"])
def test_the_json_is_as_it_was(name: str, snapshot: SnapshotAssertion) -> None:
    scenario = load(next(file for file in library_files() if file.stem == name))
    runs = [model.run(scenario, design) for design in ("split_queue", "list_lru")]
    assert comparison_json(compare(scenario, runs)) == snapshot
