# SPDX-License-Identifier: GPL-2.0-only
"""docs/tutorial.md: a reader who types what it says sees what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sessions(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        else:
            found[-1][1].append(line)
    return found


def unseen(shown: list[str], printed: str) -> list[str]:
    """The shown lines that were not printed, or not in this order; "..." is any number of lines.

    Lines without "..." between them must follow each other. How many spaces there are does not count.
    """
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    at = 0
    missing = []
    for elided, group in groupby(shown, lambda line: line == "..."):
        if elided:
            continue
        wanted = [" ".join(line.split()) for line in group]
        ends = [end for end in range(at, len(lines)) if lines[end : end + len(wanted)] == wanted]
        if ends:
            at = ends[0] + len(wanted)
        else:
            missing += wanted
    return missing


def test_lines_are_found_in_their_order_and_missed_when_they_are_not_there() -> None:
    printed = "one  1\ntwo\n\nthree\n"
    assert unseen(["one 1", "...", "three"], printed) == []
    assert unseen(["one 1", "three"], printed) == ["one 1", "three"]
    assert unseen(["three", "...", "two"], printed) == ["two"]
    assert unseen(["one"], printed) == ["one"]


def test_each_command_prints_what_the_tutorial_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "bin" / "thplab"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m thplab "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    if source := os.environ.get("PYTHONPATH"):
        monkeypatch.setenv("PYTHONPATH", str(Path(source).resolve()))
    checked = 0
    for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "toml":
            with (tmp_path / "mine.toml").open("a", encoding="utf-8") as file:
                file.write(f"\n{text}")
            continue
        assert language == "console"
        for typed, shown in sessions(text):
            ran = subprocess.run(
                ["bash", "-c", typed], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert ran.returncode == 0, f"{typed}: {ran.stdout}{ran.stderr}"
            assert unseen(shown, ran.stderr + ran.stdout) == [], f"{typed}:\n{ran.stdout}"
            checked += 1
    assert checked >= 5
