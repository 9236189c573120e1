# SPDX-License-Identifier: GPL-2.0-only
"""`thplab findings confirm`: what it offers, what it refuses, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agent.test_confirm import FOUND, LOST, sight
from thplab.agent.confirm.sight import Request, Sight
from thplab.backends import confirm as confirming
from thplab.cli import main


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests; a guest answers each as the finding says, or as `answer` was set."""
    requests: list[Request] = []

    def confirm(request: Request, kernel: str, _time_limit: float | None) -> Sight:
        assert kernel in {"good", "other"}
        requests.append(request)
        return sight(FOUND, LOST if kernel == "good" else FOUND)

    monkeypatch.setattr(confirming, "confirm", confirm)
    return requests


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no-parent-of-root", "it brings the kernel down"),
        ("wrong-lock-while-dying", "it is predicted: "),
        ("place-lost-in-the-old-queue", "it is refuted: "),
        ("nothing", "there is no finding 'nothing'"),
    ],
)
def test_a_finding_that_no_program_shows_is_refused_before_a_boot(
    name: str, why: str, asked: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["findings", "confirm", name, "--kernel", "good"]) == 2
    assert why in capsys.readouterr().err
    assert asked == []


def test_the_refusal_of_an_oops_names_the_recipe(
    asked: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["findings", "confirm", "4", "--kernel", "good"]) == 2
    assert "`thplab findings show no-parent-of-root`" in capsys.readouterr().err


def test_a_kernel_that_has_it_is_told_in_a_table(
    asked: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["findings", "confirm", "place-lost-by-migration", "--kernel", "good"]) == 0
    out = capsys.readouterr().out
    assert asked[0].name == "place-lost-by-migration"
    assert "list_lru" in asked[0].designs
    rows = {line[:25].strip(): line[25:].split() for line in out.splitlines()}
    assert rows["queued after"] == ["0", "1", "0", "0"]
    assert rows["another scan splits"] == ["1", "0"]
    assert "confirmed on 7.3.4 with the window held open at function()" in out


def test_a_kernel_that_does_not_show_it_ends_with_1_and_says_so_as_json(
    asked: list[Request], tmp_path: Path
) -> None:
    file = tmp_path / "sight.json"
    command = ["findings", "confirm", "1", "--kernel", "other", "--format", "json", "-o", str(file)]
    assert main(command) == 1
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["seen"] is False
    assert told["verdict"].startswith("not seen on 7.3.4")
    assert told["held"]["queued_after"] == [0, 1]
    assert asked[0].name == "unmap-lost-by-scan"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["confirm", "1"], "--kernel IMAGE"),
        (["confirm"], "give nothing, or `show` or `confirm`"),
        (["show", "1", "--kernel", "good"], "--kernel belongs to"),
        (["-o", "x"], "--output belongs to"),
    ],
)
def test_words_and_options_that_do_not_fit_are_refused(
    words: list[str], why: str, asked: list[Request], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["findings", *words]) == 2
    assert why in capsys.readouterr().err
    assert asked == []
