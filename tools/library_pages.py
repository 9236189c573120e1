# SPDX-License-Identifier: GPL-2.0-only
"""The scenario library as pages of the documentation, one for each file, and an index of them.

A page shows the scenario as its file says it, ranges in braces unexpanded, so it reads the TOML and
knows nothing of any step.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thplab.scenario.library import library_files

PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def plain(text: str) -> str:
    """`text` as Markdown that shows it as it is, on one line."""
    return PUNCTUATION.sub(r"\\\1", one_line(text).strip())


def code(value: object) -> str:
    """A value of the file as a code span."""
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    fence = fence_of(text, 1)
    # Spaces keep backticks in the text apart from the fence; Markdown takes one off at each end.
    space = " " if "`" in text or not text.strip() or text != text.strip() else ""
    return f"{fence}{space}{text}{space}{fence}"


def cell(value: object) -> str:
    """A value as a code span in a table, where a bar within the span ends the cell all the same."""
    return code(value).replace("|", "\\|")


def one_line(text: str) -> str:
    """`text` without line breaks and other characters that cannot be seen."""
    return "".join(char if char.isprintable() else " " for char in text)


def fence_of(text: str, shortest: int) -> str:
    """So many backticks that none of the runs in `text` is as long."""
    return "`" * max(shortest, *(len(run) + 1 for run in re.findall("`+", text) or [""]))


def question(text: str) -> str:
    """The comment that a scenario file begins with, as paragraphs."""
    comment = re.match(r"(?:#.*\n)*", text)
    assert comment is not None
    lines = [line.removeprefix("#").strip() for line in comment[0].splitlines()]
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n\n".join(plain(paragraph.replace("\n", " ")) for paragraph in paragraphs)


def step_line(step: Mapping[str, Any]) -> str:
    """A step in one line: what it does, and each of its keys."""
    keys = [f"{plain(key)} {code(value)}" for key, value in step.items() if key != "do"]
    return f"1. **{plain(step['do'])}** {', '.join(keys)}"


def claim_row(claim: Mapping[str, Any]) -> str:
    """A claim as a row of the table of claims."""
    figure = f"{cell(claim['value'])} at {cell(claim['at'])}"
    if "since" in claim:
        figure += f" since {cell(claim['since'])}"
    expect = claim["expect"]
    if isinstance(expect, dict):
        expected = ", ".join(f"{plain(which)}: {cell(what)}" for which, what in expect.items())
    else:
        expected = cell(expect)
    return f"| {figure} | {expected} | {plain(claim.get('why', ''))} |"


def scenario_page(name: str, text: str) -> str:
    """The page of a scenario, as Markdown.

    Args:
        name: what `thplab compare` calls it.
        text: its file.
    """
    scenario = tomllib.loads(text)
    fence = fence_of(text, 3)
    parts = [f"# {plain(name)}", plain(scenario["summary"]), question(text)]
    parts += [f"```\nthplab compare {name}\n```"]
    if claims := scenario.get("claims"):
        head = ["| figure | expected | why |", "|---|---|---|"]
        parts += ["## What must hold", "\n".join([*head, *map(claim_row, claims)])]
    parts += ["## What happens", "\n".join(map(step_line, scenario["steps"]))]
    parts += ["## The file", f"{fence}toml\n{text.rstrip()}\n{fence}"]
    return "\n\n".join(part for part in parts if part) + "\n"


def index_page(summaries: Mapping[str, str]) -> str:
    """The page that lists the scenarios by name."""
    rows = [f"| [{plain(name)}]({name}.md) | {plain(says)} |" for name, says in summaries.items()]
    return "\n".join(
        [
            "# The scenario library",
            "",
            "Each file asks one question, and its claims hold the answer. `thplab compare NAME` runs it.",
            "",
            "| scenario | summary |",
            "|---|---|",
            *rows,
            "",
            "```{toctree}",
            ":hidden:",
            "",
            *summaries,
            "```",
            "",
        ]
    )


def write(folder: Path) -> None:
    """Write the pages of the library into `folder`."""
    folder.mkdir(exist_ok=True)
    summaries = {}
    for path in library_files():
        text = path.read_text(encoding="utf-8")
        summaries[path.stem] = tomllib.loads(text)["summary"]
        (folder / f"{path.stem}.md").write_text(scenario_page(path.stem, text), encoding="utf-8")
    (folder / "index.md").write_text(index_page(summaries), encoding="utf-8")
