# SPDX-License-Identifier: GPL-2.0-only
"""Shows a Comparison: on a terminal, as plain text, as HTML, as a picture."""

from __future__ import annotations

import io
import re
from typing import IO

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from thplab.comparison.comparison import Comparison
from thplab.report.table import comparison_table

__all__ = ["comparison_html", "comparison_svg", "comparison_text", "print_comparison"]

PLAIN_WIDTH = 120
PICTURE_WIDTH = 84

_WEB_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_LIGHT = TerminalTheme(
    (255, 255, 255),
    (36, 41, 47),
    [
        (36, 41, 47),
        (207, 34, 46),
        (17, 99, 41),
        (125, 78, 0),
        (9, 105, 218),
        (130, 80, 223),
        (27, 124, 131),
        (110, 119, 129),
    ],
)


def print_comparison(
    comparison: Comparison, *, everything: bool = False, file: IO[str] | None = None
) -> None:
    """Write to a terminal in colour, to anything else as plain text."""
    console = Console(file=file, highlight=False)
    if console.is_terminal:
        _print(comparison, console, everything=everything)
    else:
        text = comparison_text(comparison, everything=everything)
        plain = not console.encoding.startswith("utf")
        console.file.write(text.replace("─", "-") if plain else text)


def comparison_text(
    comparison: Comparison, *, everything: bool = False, width: int = PLAIN_WIDTH
) -> str:
    """The table as plain text, no wider than `width` characters."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, highlight=False, color_system=None)
    _print(comparison, console, everything=everything)
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())


def comparison_html(comparison: Comparison, *, everything: bool = False) -> str:
    """What a terminal would show, as HTML for a notebook, with all text escaped, no script and no link."""
    console = _recorded(comparison, everything=everything)
    preformatted = '<pre style="line-height: 1.2; white-space: pre">{code}</pre>'
    return console.export_html(theme=_LIGHT, inline_styles=True, code_format=preformatted)


def _recorded(comparison: Comparison, *, everything: bool) -> Console:
    console = Console(
        file=io.StringIO(),
        record=True,
        width=PICTURE_WIDTH,
        highlight=False,
        force_terminal=True,
        color_system="truecolor",
    )
    _print(comparison, console, everything=everything)
    return console


def comparison_svg(comparison: Comparison, *, everything: bool = False) -> str:
    """What a terminal would show, as an SVG picture."""
    console = _recorded(comparison, everything=everything)
    title = f"thplab compare {comparison.scenario.name}"
    # The same content gets the same names, so that the picture changes only with the result.
    picture = console.export_svg(title=title, theme=_LIGHT, unique_id="thplab")
    # A picture must not load a font from the network.
    return _WEB_FONT.sub("", picture).replace("Fira Code, monospace", "monospace")


def _print(comparison: Comparison, console: Console, *, everything: bool) -> None:
    console.print(comparison_table(comparison, everything=everything))
