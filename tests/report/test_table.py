# SPDX-License-Identifier: GPL-2.0-only
"""The table that a person reads: golden outputs, and what they must have."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from tests.report.handmade import cover_letter_run, cover_letter_scenario
from thplab.comparison.comparison import Comparison, compare
from thplab.releases.release import Release
from thplab.report.table import comparison_table
from thplab.report.terminal import comparison_svg, comparison_text, print_comparison
from thplab.scenario.conditions import Expectation
from thplab.scenario.figures import FigurePath
from thplab.scenario.observation import Run, StepOutcome
from thplab.scenario.schema import Claim

ALL = ("split_queue", "split_queue_reparented", "list_lru", "list_lru_v1")


def compared(*runs: Run) -> Comparison:
    """The runs on the cover letter's scenario."""
    return compare(cover_letter_scenario(), runs)


@pytest.fixture
def old_and_new() -> Comparison:
    """The old design beside the new."""
    return compared(cover_letter_run("split_queue"), cover_letter_run("list_lru"))


@pytest.mark.parametrize("width", [80, 120])
def test_two_designs_look_right(
    width: int, old_and_new: Comparison, snapshot: SnapshotAssertion
) -> None:
    assert comparison_text(old_and_new, width=width) == snapshot


def test_four_designs_fit_80_columns(snapshot: SnapshotAssertion) -> None:
    text = comparison_text(compared(*(cover_letter_run(name) for name in ALL)), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text == snapshot


def test_one_design_shows_what_happened_in_it(snapshot: SnapshotAssertion) -> None:
    assert comparison_text(compared(cover_letter_run("list_lru")), width=80) == snapshot


def test_all_rows_are_shown_when_asked_for(old_and_new: Comparison) -> None:
    some, everything = (
        comparison_text(old_and_new, everything=everything) for everything in (False, True)
    )
    assert "/hog, node 0" not in some
    assert "/hog, node 0" in everything
    lines = everything.splitlines()
    figures = sum(len(moment.rows) for moment in old_and_new.moments)
    shown = [line for line in lines[lines.index("All 8 expectations held.") :] if line[:2] == "  "]
    assert len(shown) == figures


def test_a_failed_claim_says_what_was_expected() -> None:
    liar = cover_letter_run("list_lru")
    liar.release = Release.of_version("7.1", "split_queue")
    text = comparison_text(compared(liar))
    assert "64 FAILED" in text
    assert "expected == 0" in text
    assert "Of 4 expectations 2 held, 2 FAILED." in text


def test_what_was_not_seen_says_why() -> None:
    kernel = cover_letter_run("list_lru", backend="kernel", title="6.12")
    kernel.observations[1].vmstat["thp_split_page"] = None
    kernel.observations[1].missing = {"vmstat.thp_split_page": "a reason"}
    text = comparison_text(compared(cover_letter_run("list_lru"), kernel))
    assert "? unseen" in text
    assert "?  6.12: vmstat.thp_split_page: a reason" in text
    assert "could not be seen" in text


def test_a_design_that_no_claim_names_shows_its_figure_without_a_verdict() -> None:
    scenario = cover_letter_scenario()
    claim = msgspec.structs.replace(
        scenario.claims[0], expect=Expectation.parse({"split_queue": "== 0"})
    )
    scenario = msgspec.structs.replace(scenario, claims=(claim,))
    runs = [cover_letter_run("split_queue"), cover_letter_run("list_lru")]
    text = comparison_text(compare(scenario, runs))
    assert "64    -" in text
    assert "All 1 expectations held." in text


def test_outcomes_are_named_by_the_files_step_and_said_once_when_alike() -> None:
    one, other = cover_letter_run("split_queue"), cover_letter_run("list_lru")
    text = comparison_text(compared(one, other))
    assert text.count("step 8 (pressure): task hog was killed") == 1
    other.outcomes = [StepOutcome(step=7, do="pressure", text="nobody was killed")]
    text = comparison_text(compared(one, other))
    assert "split_queue, step 8 (pressure): task hog was killed" in text
    assert "list_lru, step 8 (pressure): nobody was killed" in text


def test_warnings_and_notes_name_their_column() -> None:
    run = cover_letter_run("list_lru")
    run.warnings = ["WARNING: bad"]
    run.notes = ["software emulation"]
    text = comparison_text(compared(run))
    assert "list_lru complained: WARNING: bad" in text
    assert "list_lru: software emulation" in text


def test_very_many_like_subjects_become_one_row() -> None:
    one, other = cover_letter_run("split_queue"), cover_letter_run("list_lru")
    for run in (one, other):
        for observation in run.observations:
            far = observation.regions["victim.far"]
            observation.regions = {f"job{number:02}.far": far for number in range(20)}
    scenario = msgspec.structs.replace(cover_letter_scenario(), claims=())
    text = comparison_text(compare(scenario, [one, other]))
    assert "job*.far (20), node 1" in text
    assert "1,280" in text
    assert "job07" not in text


def test_text_that_looks_like_markup_is_shown_as_it_is() -> None:
    scenario = cover_letter_scenario()
    claim = Claim(
        at="after",
        value=FigurePath.parse("vmstat.thp_split_page"),
        expect=Expectation.parse("== 65"),
        why="[bold]x[/bold]",
    )
    scenario = msgspec.structs.replace(scenario, summary="[red]s[/red]", claims=(claim,))
    run = cover_letter_run("split_queue")
    run.warnings = ["[/]"]
    text = comparison_text(compare(scenario, [run]))
    assert all(words in text for words in ("[red]s[/red]", "[bold]x[/bold]", "[/]"))


def test_colours_are_for_terminals_only(old_and_new: Comparison) -> None:
    buffer = io.StringIO()
    print_comparison(old_and_new, file=buffer)
    assert "\x1b" not in buffer.getvalue()
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=80)
    terminal.print(comparison_table(old_and_new))
    assert isinstance(terminal.file, io.StringIO)
    assert "\x1b[32m" in terminal.file.getvalue()


def test_a_terminal_without_unicode_gets_a_table(old_and_new: Comparison) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=80, highlight=False)
    console.print(comparison_table(old_and_new))
    console.file.flush()
    assert b"64 held" in raw.getvalue()


def test_the_picture_is_the_table_and_does_not_change_by_itself(old_and_new: Comparison) -> None:
    picture = comparison_svg(old_and_new)
    assert picture.startswith("<svg")
    assert "split_queue" in picture
    assert "url(http" not in picture
    assert "@font-face" not in picture
    assert picture == comparison_svg(old_and_new)
