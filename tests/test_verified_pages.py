# SPDX-License-Identifier: GPL-2.0-only
"""The tables of what real kernels did say what the records say."""

from __future__ import annotations

from pathlib import Path

import pytest

import verified
from thplab.comparison.record import FuzzRecord, LibraryRecord, read_records, recorded
from thplab.errors import InputError
from thplab.releases.release import Release
from thplab.scenario.library import library_files

LIBRARY = LibraryRecord(
    agree=["cover-letter", "guard-rail"],
    differ={"nokmem": ["after: vmstat.a: model 0, kernel 1", "after: vmstat.b: model 0, kernel 1"]},
    known={"guard-rail": ["known difference: x | y"]},
    empty=["underused"],
    not_compared={"terabyte": "too little memory"},
    figures=1234,
    unseen=7,
    seconds=60,
)
NAMES = sorted(path.stem for path in library_files())


def series(kind: str, seed: int, differ: dict[int, list[str]]) -> FuzzRecord:
    """A series of 100, five of them empty."""
    return FuzzRecord(
        kind=kind,
        seed=seed,
        count=100,
        figures=20000,
        differ=differ,
        empty=5,
        left_out=["shrink"],
        seconds=1000,
    )


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Those of two kernels; one of them has run random scenarios of two kinds."""
    monkeypatch.setattr(verified, "RECORDS", tmp_path)
    results = (
        ("debian:6.12", "6.12.117", "split_queue", LIBRARY),
        ("debian:7.3", "7.3.4", "list_lru", series("full", 1, {})),
        (
            "debian:7.3",
            "7.3.4",
            "list_lru",
            series("steps", 1, {36: ["middle: x: model 0, kernel 1"]}),
        ),
        ("debian:7.3", "7.3.4", "list_lru", series("steps", 2, {})),
    )
    for kernel, linux, design, result in results:
        text = recorded(tmp_path, kernel, linux, Release.of_version(linux, design), result)
        (tmp_path / f"{kernel.replace(':', '-')}.json").write_text(text, encoding="utf-8")
    return tmp_path


def rows(table: str) -> list[list[str]]:
    """The cells of a table's lines, without the heading."""
    return [[cell.strip() for cell in line.split(" | ")] for line in table.splitlines()[2:]]


def test_the_summary_has_a_line_for_each_kernel_and_a_column_for_each_kind(records: Path) -> None:
    del records
    old, new = rows(verified.summary_table())
    assert old == ["| `debian:6.12`", "2 / 1 (2 not compared)", "not run", "not run", "60 |"]
    steps = "189 / 1 (10 compared nothing)"
    assert new == ["| `debian:7.3`", "not run", "95 / 0 (5 compared nothing)", steps, "3,000 |"]


def test_the_library_names_what_differs_and_what_did_not_run(records: Path) -> None:
    del records
    (only,) = rows(verified.library_table().replace(" \\| ", " OR "))
    assert only[:3] == ["| `debian:6.12`", "2", "1,234"]
    differ = "nokmem: after: vmstat.a: model 0, kernel 1 and 1 more"
    assert only[3] == f"{differ}; guard-rail agrees but for: known difference: x OR y"
    assert only[4].startswith(
        "underused: no figure could be compared; terabyte: too little memory;"
    )
    assert only[4].count("not run") == len(NAMES) - 5


def test_each_series_of_random_scenarios_has_a_line(records: Path) -> None:
    del records
    full, first, second = rows(verified.series_table())
    assert full[1:] == ["full, seed 1", "100", "20,000", "none", "5", "shrink |"]
    assert first[4] == "number 36: middle: x: model 0, kernel 1"
    assert second[1] == "steps, seed 2"


def test_a_record_that_is_none_is_named(records: Path) -> None:
    (records / "other.json").write_text("[]", encoding="ascii")
    with pytest.raises(InputError, match=r"other\.json: this is no record"):
        verified.library_table()


def test_the_records_of_this_project_are_about_scenarios_that_there_are() -> None:
    """A scenario that is renamed or removed makes a record stale: verify the kernel again."""
    found = read_records(verified.RECORDS)
    assert found
    for one in found:
        library = one.library
        if library is not None:
            names = {*library.agree, *library.differ, *library.empty, *library.not_compared}
            assert names <= set(NAMES), one.kernel
