# SPDX-License-Identifier: GPL-2.0-only
"""The options --release and --design: which columns they ask for, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thplab import designs
from thplab.cli import main
from thplab.releases.named import NAMES

MINE = """
from pathlib import Path
from thplab.designs.list_lru import ListLruQueue

with Path(__file__).with_suffix(".times").open("a") as times:
    times.write("executed\\n")

class Mine(ListLruQueue):
    pass
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file with a design, which notes each time that it is executed."""
    file = tmp_path / "mine.py"
    file.write_text(MINE, encoding="utf-8")
    return file


def titles(capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    """The columns of a comparison."""
    assert main(["compare", "guard-rail", "--format", "json", *options]) in {0, 1}
    return [column["title"] for column in json.loads(capsys.readouterr().out)["columns"]]


def test_all_releases_are_a_column_each(capsys: pytest.CaptureFixture[str]) -> None:
    columns = titles(capsys, "--release", "all")
    assert [title.split()[0] for title in columns] == list(NAMES)
    assert columns[-1] == "7.3 list_lru"


def test_all_designs_are_a_column_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert titles(capsys, "--design", "all") == designs.names()


def test_a_release_that_is_named_twice_is_one_column(capsys: pytest.CaptureFixture[str]) -> None:
    columns = titles(capsys, "--release", "7.3", "--release", "all", "--release", "7.3")
    assert [title.split()[0] for title in columns] == ["7.3", *NAMES[:-1]]


def test_a_design_of_ones_own_takes_the_place_of_the_releases(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert titles(capsys, "--release", "7.3", "--design", f"{mine}:Mine") == ["7.3 Mine"]
    assert titles(capsys, "--design", f"{mine}:Mine") == ["Mine"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "guard-rail", "--release", "6.12", "--release", "7.3"],
        ["run", "guard-rail", "--release", "7.3"],
        ["explore", "add-offline", "--bound", "1"],
    ],
    ids=["compare", "run", "explore"],
)
def test_the_file_of_a_design_is_executed_once(
    arguments: list[str], mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--design", f"{mine}:Mine"]) == 0
    assert mine.with_suffix(".times").read_text() == "executed\n"


@pytest.mark.parametrize("verb", ["compare", "run"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--release", "6.13"], f"the release '6.13' is not known; there are {', '.join(NAMES)}"),
        (["--release", ""], "the release '' is not known; there are"),
        (
            ["--release", "6.12", "--design", "list_lru"],
            "Linux 6.12 cannot have the design list_lru: it is that of 7.2 and later; leave out",
        ),
        (
            ["--release", "7.3", "--design", "split_queue"],
            "Linux 7.3 cannot have the design split_queue: it is that of 5.4 to 6.18",
        ),
    ],
    ids=["unknown", "empty", "too new a design", "too old a design"],
)
def test_a_release_that_cannot_be_is_status_2_and_says_what_would_be_right(
    verb: str, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "guard-rail", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert captured.err.count("\n") == 1
