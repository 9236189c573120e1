# SPDX-License-Identifier: GPL-2.0-only
"""The JSON of a Comparison: complete and stable."""

from __future__ import annotations

import json

from syrupy.assertion import SnapshotAssertion

from tests.report.handmade import cover_letter_run, cover_letter_scenario
from thplab.comparison.comparison import compare
from thplab.report.json_text import FORMAT_VERSION, comparison_json


def text() -> str:
    """The cover letter on both designs; one figure was not seen."""
    runs = [cover_letter_run("split_queue"), cover_letter_run("list_lru")]
    runs[0].observations[1].vmstat["oom_kill"] = None
    runs[0].observations[1].missing = {"vmstat.oom_kill": "a reason"}
    return comparison_json(compare(cover_letter_scenario(), runs))


def test_the_json_is_as_it_was(snapshot: SnapshotAssertion) -> None:
    assert text() == snapshot


def test_the_json_is_the_same_each_time_with_sorted_keys() -> None:
    assert text() == text()
    content = json.loads(text())
    assert json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n" == text()


def test_the_json_has_every_figure_and_every_claim() -> None:
    content = json.loads(text())
    comparison = compare(cover_letter_scenario(), [cover_letter_run("split_queue")])
    assert content["version"] == FORMAT_VERSION
    for moment, observation in zip(comparison.moments, content["observations"], strict=True):
        assert [figure["path"] for figure in observation["figures"]] == [
            str(row.path) for row in moment.rows
        ]
        assert {figure["rule"] for figure in observation["figures"]} == {0}
    assert content["rules"] == [
        {"kind": "exact", "tolerance": 0, "why": "the model is deterministic"}
    ]
    assert len(content["columns"][0]["claims"]) == len(comparison.scenario.claims)


def test_a_figure_that_was_not_seen_is_null_with_a_reason() -> None:
    figures = json.loads(text())["observations"][1]["figures"]
    oom = next(figure for figure in figures if figure["path"] == "vmstat.oom_kill")
    assert oom["values"] == [None, 0]
    assert oom["reasons"] == ["a reason", ""]
