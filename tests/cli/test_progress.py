# SPDX-License-Identifier: GPL-2.0-only
"""Progress is for whoever waits at a terminal."""

from __future__ import annotations

import sys

import pytest

from thplab.cli import options
from thplab.cli.options import Watched


@pytest.mark.parametrize(
    ("patience", "terminal", "shown"),
    [(0.0, True, True), (3600.0, True, False), (0.0, False, False)],
)
def test_progress_is_shown_on_a_terminal_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    patience: float,
    terminal: bool,
    shown: bool,
) -> None:
    monkeypatch.setattr(options, "PATIENCE_SECONDS", patience)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Watched("list_lru") as watched:
        watched(1, 10)
        watched(5, 10)
        assert (watched.bar is not None) == shown
        if watched.bar is not None:
            assert watched.bar.tasks[0].completed == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("list_lru" in captured.err) == shown
