# SPDX-License-Identifier: GPL-2.0-only
"""The JSON of a Comparison: complete and stable."""

from __future__ import annotations

import json

from syrupy.assertion import SnapshotAssertion

from tests.report.handmade import cover_letter_run, cover_letter_scenario
from tests.scenario.scenario_text import scenario_text
from thplab.comparison.comparison import compare
from thplab.releases.release import Release
from thplab.report.json_text import FORMAT_VERSION, comparison_json
from thplab.scenario.loader import loads
from thplab.scenario.observation import NodeFigures, Observation, Run, StepOutcome

SMALL = scenario_text(
    {"do": "wait", "seconds": 1},
    {"do": "observe", "label": "after"},
    claims=[{"at": "after", "value": "vmstat.thp_split_page", "expect": "== 1", "why": "a reason"}],
)


def small_run(backend: str, split: int | None) -> Run:
    """A run of the small scenario, one of a kernel with all that a run may say."""
    on_kernel = backend == "kernel"
    seen = Observation(
        label="after",
        nodes=[NodeFigures(free=512, anon=0)],
        cgroups={},
        regions={},
        vmstat={"thp_split_page": split},
        mthp={},
        missing={"nodes.huge": "not counted"} | ({"vmstat": "not there"} if on_kernel else {}),
    )
    return Run(
        scenario="test",
        backend=backend,
        title=f"the {backend}",
        release=Release.of_version("6.12", "split_queue"),
        kernel="6.12.1" if on_kernel else "",
        observations=[seen],
        outcomes=[StepOutcome(step=0, do="wait", text="not done", done=False)] if on_kernel else [],
        warnings=["WARNING: a warning"] if on_kernel else [],
        notes=["a note"] if on_kernel else [],
    )


def text() -> str:
    """The cover letter on both designs; one figure was not seen."""
    runs = [cover_letter_run("split_queue"), cover_letter_run("list_lru")]
    runs[0].observations[1].vmstat["oom_kill"] = None
    runs[0].observations[1].missing = {"vmstat.oom_kill": "a reason"}
    return comparison_json(compare(cover_letter_scenario(), runs))


def test_the_form_is_that_of_its_version(snapshot: SnapshotAssertion) -> None:
    """A key that goes away or changes its meaning raises FORMAT_VERSION."""
    comparison = compare(loads(SMALL), [small_run("model", 1), small_run("kernel", None)])
    assert comparison_json(comparison) == snapshot


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
