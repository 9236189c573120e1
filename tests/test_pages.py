# SPDX-License-Identifier: GPL-2.0-only
"""What the documentation repeats of the source is what the source says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pages
from pages import PageError

BLOCK = "before\n\n<!-- generated: fruit -->\nold\n<!-- end of fruit -->\n\nafter\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with one page that has one block."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(BLOCK, encoding="utf-8")
    return tmp_path


def test_no_generated_page_is_stale() -> None:
    """Pages are made from the interpreted source, because compiled classes have no docstrings."""
    done = subprocess.run(
        [sys.executable, pages.__file__, "--check"],
        env={**os.environ, "PYTHONPATH": str(pages.ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_stale_block_is_rewritten_and_the_rest_of_its_page_stays(root: Path) -> None:
    wanted = BLOCK.replace("old", "apples")
    page = root / "docs" / "page.md"
    assert pages.stale(root, {}, {"fruit": "apples\n"}) == {page: wanted}
    page.write_text(wanted, encoding="utf-8")
    assert pages.stale(root, {}, {"fruit": "apples\n"}) == {}


def test_an_empty_block_is_filled(root: Path) -> None:
    (root / "docs" / "page.md").write_text(BLOCK.replace("old\n", ""), encoding="utf-8")
    wanted = BLOCK.replace("old", "apples")
    assert list(pages.stale(root, {}, {"fruit": "apples"}).values()) == [wanted]


def test_a_whole_page_is_stale_until_it_is_what_its_generator_says(root: Path) -> None:
    made = root / "docs" / "made.md"
    contents = {"docs/made.md": "# Made\n"}, {"fruit": "old"}
    assert pages.stale(root, *contents) == {made: "# Made\n"}
    made.write_text("# Made\n", encoding="utf-8")
    assert pages.stale(root, *contents) == {}


def test_a_whole_page_may_show_a_marker(root: Path) -> None:
    text = "<!-- generated: of no meaning here -->\n"
    (root / "docs" / "made.md").write_text(text, encoding="utf-8")
    assert pages.stale(root, {"docs/made.md": text}, {"fruit": "old"}) == {}


def test_a_block_that_no_page_has_is_an_error(root: Path) -> None:
    with pytest.raises(PageError, match=r"no page has a place for \['roots'\]"):
        pages.stale(root, {}, {"fruit": "old", "roots": "carrots"})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (BLOCK, "page.md: nobody generates fruit"),
        ("a\n<!-- generated: fruit -->\nold\n", "page.md: fruit begins, but never ends"),
        ("a\n<!-- end of fruit -->\n", "page.md:2: fruit ends, but has not begun"),
        (BLOCK.replace("end of fruit", "end of roots"), "page.md:5: roots ends, but has not begun"),
        (BLOCK.replace("old", "<!-- generated: roots -->"), "page.md:4: roots begins before fruit"),
        (BLOCK.replace("generated:", "generated"), "page.md:3: .* is not a marker"),
        (BLOCK.replace("-->\n\nafter", "--> after"), "page.md:5: .* is not a marker"),
    ],
)
def test_markers_that_do_not_fit_are_errors_that_name_page_and_line(
    text: str, complaint: str
) -> None:
    with pytest.raises(PageError, match=complaint):
        pages.filled("page.md", text, {})


def test_a_marker_within_a_sentence_is_text() -> None:
    text = "Write `<!-- generated: fruit -->` where the table belongs.\n"
    assert pages.filled("page.md", text, {}) == text


@pytest.mark.parametrize("place", [*pages.PAGES.values(), *pages.BLOCKS.values()])
def test_a_generator_says_the_same_each_time(place: str) -> None:
    text = pages.generator(place)()
    assert text.strip()
    assert pages.generator(place)() == text


def test_check_names_the_stale_page_and_the_command_and_writes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = root / "docs" / "page.md"
    monkeypatch.setattr(pages, "ROOT", root)
    monkeypatch.setattr(pages, "PAGES", {})
    monkeypatch.setattr(pages, "BLOCKS", {"fruit": "fruit"})
    monkeypatch.setattr(pages, "generator", lambda _place: lambda: "apples")
    monkeypatch.setattr("sys.argv", ["pages.py", "--check"])
    assert pages.main() == 1
    assert capsys.readouterr().out == "docs/page.md: stale, run make pages\n"
    assert page.read_text(encoding="utf-8") == BLOCK
    monkeypatch.setattr("sys.argv", ["pages.py"])
    assert pages.main() == 0
    assert capsys.readouterr().out == "docs/page.md: rewritten\n"
    assert page.read_text(encoding="utf-8") == BLOCK.replace("old", "apples")
    assert list(page.parent.iterdir()) == [page]
    assert pages.main() == 0
    assert capsys.readouterr().out == ""


def test_a_marker_in_disorder_ends_the_command_with_status_2(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "ROOT", root)
    monkeypatch.setattr(pages, "PAGES", {})
    monkeypatch.setattr(pages, "BLOCKS", {})
    monkeypatch.setattr("sys.argv", ["pages.py"])
    assert pages.main() == 2
    assert "docs/page.md: nobody generates fruit" in capsys.readouterr().err
