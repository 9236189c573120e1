# SPDX-License-Identifier: GPL-2.0-only
"""Results for Python, and what `import thplab` offers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import thplab
from tests.report.handmade import cover_letter_run, cover_letter_scenario
from thplab.api.results import Result, RunResult
from thplab.report.json_text import comparison_json
from thplab.scenario.loader import loads


@pytest.fixture
def result() -> Result:
    """The cover letter on two releases, by hand."""
    runs = [
        cover_letter_run("split_queue", title="6.12 split_queue"),
        cover_letter_run("list_lru", title="7.3 list_lru"),
    ]
    return Result(cover_letter_scenario(), runs)


def test_a_figure_is_read_by_the_path_of_a_claim(result: Result) -> None:
    assert result["after"]["regions.victim.far[1].huge"] == {"6.12": 0, "7.3": 64}
    assert result["after"]["nodes.free"]["6.12"] == (901 + 1014) << 20


def test_what_a_column_did_not_see_is_none(result: Result) -> None:
    assert result["after"]["vmstat.nothing"] == {"6.12": None, "7.3": None}


@pytest.mark.parametrize(
    ("label", "path", "told"),
    [("aftr", "nodes.free", 'did you mean "after"'), ("after", "nodes.fre", "free, anon, huge")],
)
def test_a_misspelt_name_is_an_error_with_the_remedy(
    result: Result, label: str, path: str, told: str
) -> None:
    with pytest.raises(KeyError, match=told):
        result[label][path]


def test_columns_that_a_release_does_not_tell_apart_keep_their_titles() -> None:
    runs = [cover_letter_run(design, title=f"7.3 {design}") for design in ("list_lru", "mine")]
    assert Result(cover_letter_scenario(), runs).columns == ("7.3 list_lru", "7.3 mine")


def test_the_title_of_a_kernel_is_kept_whole() -> None:
    runs = [cover_letter_run("list_lru", title=title) for title in ("7.3 list_lru", "this host")]
    assert Result(cover_letter_scenario(), runs).columns == ("7.3", "this host")


def test_plain_dicts_say_what_the_json_says(result: Result) -> None:
    assert result.to_dict() == json.loads(comparison_json(result.comparison))


def test_a_result_prints_as_the_table_and_shows_itself_in_a_notebook(result: Result) -> None:
    assert "All 8 expectations held." in str(result)
    assert repr(result) == "Result('cover-letter', 6.12, 7.3: ok)"
    html = result._repr_html_()
    assert html.startswith("<pre")
    assert "expectations held" in html


def test_hostile_text_stays_text_in_a_notebook() -> None:
    run = cover_letter_run("list_lru")
    run.warnings = ["<script>alert(1)</script>"]
    html = Result(cover_letter_scenario(), [run])._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_rows_have_every_figure_of_every_column(result: Result) -> None:
    rows = result.rows()
    figures = sum(len(moment.rows) for moment in result.comparison.moments)
    assert len(rows) == 2 * figures
    (far,) = [
        row["value"]
        for row in rows
        if (row["observation"], row["column"], row["path"])
        == ("after", "7.3", "regions.victim.far[1].huge")
    ]
    assert far == 64
    assert result.to_dict()["version"] == 2


def test_a_frame_has_a_row_for_each_figure(result: Result) -> None:
    pytest.importorskip("polars", reason="polars (the extra frames) is not installed")
    frame = result.to_polars()
    assert frame.height == len(result.rows())
    assert set(frame.columns) >= {"observation", "column", "path", "value"}


def test_one_run_gives_one_number() -> None:
    one = RunResult(cover_letter_scenario(), [cover_letter_run("list_lru")])
    assert one["after"]["vmstat.thp_split_page"] == 1
    assert one.run.design == "list_lru"


def test_every_name_that_thplab_offers_is_there() -> None:
    assert all(getattr(thplab, name) is not None for name in thplab.__all__)
    assert set(thplab.__all__) <= set(dir(thplab))
    with pytest.raises(AttributeError, match="nothing"):
        thplab.nothing  # noqa: B018


def test_no_room_hides_a_function_of_the_front_door() -> None:
    """Importing a room sets its name on the package: none may be called as a function is."""
    command = (
        "import thplab.comparison.comparison, thplab.explorer.session, thplab.api.entry, thplab; "
        "print(*(callable(getattr(thplab, name)) for name in thplab.__all__ if name != 'scenarios'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == {"True"}


def test_a_scenario_may_come_from_a_text() -> None:
    text = 'name = "tiny"\nsummary = "Nothing happens."\n[host]\nnodes = ["1G"]\n'
    scenario = loads(text + '[[steps]]\ndo = "observe"\nlabel = "now"\n')
    assert thplab.run(scenario)["now"]["nodes[0].anon"] == 0


def test_the_library_is_a_mapping_that_lists_itself() -> None:
    assert thplab.scenarios["cover-letter"].name == "cover-letter"
    assert "cover-letter" in repr(thplab.scenarios)
    assert thplab.scenarios._repr_html_().count("<tr>") == len(thplab.scenarios)
    with pytest.raises(KeyError):
        thplab.scenarios["nothing"]


def test_one_release_or_design_need_not_be_a_list() -> None:
    assert thplab.compare("guard-rail", releases="6.18").columns == ("6.18",)
    assert thplab.compare("guard-rail", designs="list_lru").columns == ("list_lru",)
