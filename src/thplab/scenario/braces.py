# SPDX-License-Identifier: GPL-2.0-only
"""Ranges in braces: one line of a scenario that stands for many.

    "/job{000..999}" = { "memory.max" = "2G" }

A table whose texts hold ranges stands for as many tables as its longest range has numbers. All
ranges advance together; a shorter one starts again at its end, so its length must divide the
longest: `task = "job{000..999}"` with `node = "{0..7}"` puts each eighth job on the same node. A
first number that begins with 0 sets the number of digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from thplab.scenario.errors import ScenarioError

__all__ = ["LONGEST_RANGE", "expand"]

LONGEST_RANGE = 10_000

_RANGE = re.compile(r"\{([0-9]{1,6})\.\.([0-9]{1,6})\}", re.ASCII)
_Written = Callable[[int], Any]


class _Range:
    """One "{first..last}": its numbers as text."""

    __slots__ = ("first", "length", "text", "width")

    def __init__(self, match: re.Match[str]) -> None:
        self.text = match[0]
        self.first = int(match[1])
        self.length = int(match[2]) - self.first + 1
        self.width = len(match[1]) if match[1].startswith("0") else 1

    def number(self, index: int) -> int:
        return self.first + index % self.length


def expand(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables that `table` stands for: itself alone where no text in it holds a range.

    Raises:
        ScenarioError: a range is empty or too long, or a length does not divide the longest; the
            caller adds the place.
    """
    ranges = [_Range(match) for text in _texts(table) for match in _RANGE.finditer(text)]
    if not ranges:
        return [table]
    longest = max(ranges, key=lambda candidate: candidate.length)
    for each in ranges:
        _check(each, longest)
    written = _writer(table)
    return [written(index) for index in range(longest.length)]


def _check(each: _Range, longest: _Range) -> None:
    if each.length < 1:
        raise ScenarioError(f"the range {each.text} is empty", "write the smaller number first")
    if each.length > LONGEST_RANGE:
        raise ScenarioError(
            f"the range {each.text} has {each.length} numbers",
            f"at most {LONGEST_RANGE} are possible",
        )
    if longest.length % each.length:
        raise ScenarioError(
            f"the length of the range {each.text} does not divide that of {longest.text}",
            f"{longest.length} is not a multiple of {each.length}",
        )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _writer(value: object) -> _Written:
    """A function that takes an index and returns `value` with its ranges written out for it."""
    if isinstance(value, str):
        return _text_writer(value)
    if isinstance(value, dict):
        pairs = [(_text_writer(key), _writer(inner)) for key, inner in value.items()]
        return lambda index: {str(key(index)): inner(index) for key, inner in pairs}
    if isinstance(value, list):
        inners = [_writer(inner) for inner in value]
        return lambda index: [inner(index) for inner in inners]
    return lambda _: value


def _text_writer(text: str) -> _Written:
    matches = list(_RANGE.finditer(text))
    if not matches:
        return lambda _: text
    if matches[0][0] == text:
        # A text that is only a range becomes a number: a node.
        return _Range(matches[0]).number
    pieces: list[str | _Range] = []
    end = 0
    for match in matches:
        pieces += [text[end : match.start()], _Range(match)]
        end = match.end()
    pieces.append(text[end:])

    def written(index: int) -> str:
        return "".join(
            piece if isinstance(piece, str) else f"{piece.number(index):0{piece.width}d}"
            for piece in pieces
        )

    return written
