# SPDX-License-Identifier: GPL-2.0-only
"""A table in blocks, whose columns are aligned over all blocks. Text between them may use the whole
width, which a table of rich does not allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.align import VerticalAlignMethod
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

__all__ = ["Grid"]

_LEAST_WIDTH = 11
_LONG_TITLE = 14
_LABEL_WIDTH = 48
_GAP = 2


class Grid:
    """Columns of values, a label before each line.

    Args:
        titles: the headings of the columns.
        cells: all texts that will stand in each column, to find its width.
    """

    def __init__(self, titles: Sequence[str], cells: Iterable[Sequence[Text]]) -> None:
        self.headings = [_broken(title) for title in titles]
        self.widths = [
            max(_LEAST_WIDTH, *map(len, heading.split("\n"))) for heading in self.headings
        ]
        for row in cells:
            for index, cell in enumerate(row):
                longest = max((len(line) for line in cell.plain.split("\n")), default=0)
                self.widths[index] = max(self.widths[index], longest)

    def heading(self, label: Text) -> list[RenderableType]:
        """The heading of a table."""
        texts = [Text(heading, style="bold") for heading in self.headings]
        return [self._table([(label, texts)], vertical="bottom"), self._fit(_Line())]

    def block(self, rows: Iterable[tuple[Text, Sequence[Text]]]) -> RenderableType:
        """Lines: a label, then a value for each column."""
        return self._table((Padding(label, (0, 0, 0, 2)), texts) for label, texts in rows)

    def line(self, text: Text, indent: int = 0) -> RenderableType:
        """A text over the whole width."""
        return self._fit(Padding(text, (0, 0, 0, indent)))

    def _table(
        self,
        rows: Iterable[tuple[RenderableType, Sequence[Text]]],
        vertical: VerticalAlignMethod = "top",
    ) -> RenderableType:
        table = Table(
            box=None, show_header=False, padding=(0, 0, 0, _GAP), pad_edge=False, expand=True
        )
        table.add_column(ratio=1, overflow="fold", vertical=vertical)
        for width in self.widths:
            table.add_column(justify="right", width=width, overflow="fold", vertical=vertical)
        for label, texts in rows:
            table.add_row(label, *texts)
        return self._fit(table)

    def _fit(self, renderable: RenderableType) -> RenderableType:
        # A line that is wider than necessary is hard to follow.
        return Constrain(renderable, _LABEL_WIDTH + sum(width + _GAP for width in self.widths))


class _Line:
    """A line over the whole width, of a character that the terminal's encoding has."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(("-" if options.ascii_only else "─") * options.max_width, style="dim")


def _broken(title: str) -> str:
    """Release and design on lines of their own; "split_queue_reparented" is broken at its last underscore."""
    return "\n".join(map(_broken_word, title.split(" ")))


def _broken_word(word: str) -> str:
    head, underscore, tail = word.rpartition("_")
    return f"{head}\n{underscore}{tail}" if len(word) > _LONG_TITLE and head else word
