# SPDX-License-Identifier: GPL-2.0-only
"""The library's scenarios: each is about one question, and its claims hold on the model."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from thplab import designs
from thplab.backends import model
from thplab.comparison.comparison import Comparison, compare
from thplab.report.terminal import comparison_text
from thplab.scenario.library import library_files
from thplab.scenario.loader import load

SHIPPED = ("split_queue", "split_queue_reparented", "list_lru", "list_lru_v1")
LARGE = {"terabyte"}
FILES = [
    pytest.param(file, id=file.stem, marks=[pytest.mark.slow] if file.stem in LARGE else [])
    for file in library_files()
]
SMALL = [pytest.param(file, id=file.stem) for file in library_files() if file.stem not in LARGE]


class TextFile(SingleFileSnapshotExtension):
    """A text file for each snapshot."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@cache
def compared(file: Path) -> Comparison:
    """The scenario on every design that ships; if it is large, on the newest alone."""
    scenario = load(file)
    chosen = ("list_lru",) if file.stem in LARGE else SHIPPED
    return compare(scenario, [model.run(scenario, design) for design in chosen])


def figures(comparison: Comparison) -> str:
    """A line for each figure: the observation, the figure, and its value in each column.

    What is 0 in every column is left out, so that a reader can see what there is.
    """
    lines = [
        f"{moment.label} {row.path} {' '.join(map(str, row.values))}"
        for moment in comparison.moments
        for row in moment.rows
        if any(value != 0 for value in row.values)
    ]
    titles = " ".join(column.title for column in comparison.columns)
    return "\n".join([f"# {titles}", *lines, ""])


def test_the_library_has_enough_scenarios() -> None:
    assert len(library_files()) >= 12
    assert set(SHIPPED) <= set(designs.names())


@pytest.mark.parametrize("file", library_files(), ids=lambda file: file.stem)
def test_a_scenario_explains_itself(file: Path) -> None:
    scenario = load(file)
    assert scenario.name == file.stem
    assert file.read_text().startswith("# ")
    assert scenario.claims
    assert any(claim.why for claim in scenario.claims)


@pytest.mark.parametrize("file", FILES)
def test_the_claims_hold_on_every_design(file: Path) -> None:
    wrong = [
        (column.title, str(result.claim.value), str(result.expected), result.actual, result.reason)
        for column in compared(file).columns
        for result in column.claims
        if result.verdict in {"failed", "unseen"}
    ]
    assert wrong == []


@pytest.mark.parametrize("file", SMALL)
def test_only_the_patch_as_first_posted_is_warned_about(file: Path) -> None:
    assert [column.warnings for column in compared(file).columns[:3]] == [(), (), ()]


@pytest.mark.parametrize("file", SMALL)
def test_every_figure_is_as_it_was(file: Path, snapshot: SnapshotAssertion) -> None:
    assert figures(compared(file)) == snapshot.use_extension(TextFile)


@pytest.mark.parametrize("name", ["cover-letter", "offline-cgroup", "debugfs-scan"])
def test_the_table_is_as_it_was(name: str, snapshot: SnapshotAssertion) -> None:
    file = next(file for file in library_files() if file.stem == name)
    assert comparison_text(compared(file), width=100) == snapshot
