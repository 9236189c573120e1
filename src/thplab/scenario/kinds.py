# SPDX-License-Identifier: GPL-2.0-only
"""The kinds of files that a scenario sets, by what they take: words, numbers, switches, sizes."""

from __future__ import annotations

from typing import Any, Protocol

from thplab.scenario.units import Size, parse_size

__all__ = ["Bytes", "Kind", "Numbers", "Switch", "Value", "Words"]

Value = str | int | bool | Size
"""A word, a number, a switch, or bytes."""


class Kind(Protocol):
    """What a file takes."""

    def parse(self, value: object) -> Value:
        """Decode a value of the file.

        Raises:
            ValueError: the file does not take it; the message says what it takes.
        """

    def takes(self) -> str:
        """What it takes, in words."""

    def json_schema(self) -> dict[str, Any]:
        """What an editor may accept."""


class Words:
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def parse(self, value: object) -> Value:
        """The word."""
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"it takes {self.takes()}")
        return value

    def takes(self) -> str:
        """The words."""
        return ", ".join(f'"{word}"' for word in self.words)

    def json_schema(self) -> dict[str, Any]:
        """The words."""
        return {"enum": list(self.words)}


class Numbers:
    """A number within bounds, both included, or the same number as text."""

    def __init__(self, lowest: int, highest: int) -> None:
        self.lowest = lowest
        self.highest = highest

    def parse(self, value: object) -> Value:
        """The number."""
        text = str(value)
        if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) <= 10):
            raise ValueError(f"it takes {self.takes()}")
        if not self.lowest <= int(text) <= self.highest:
            raise ValueError(f"it takes {self.takes()}")
        return int(text)

    def takes(self) -> str:
        """The bounds."""
        return f"a number from {self.lowest} to {self.highest}"

    def json_schema(self) -> dict[str, Any]:
        """The bounds."""
        return {"type": "integer", "minimum": self.lowest, "maximum": self.highest}


class Switch:
    """On or off: true or false, or the kernel's 1 or 0."""

    def parse(self, value: object) -> Value:
        """The switch."""
        if str(value) in ("0", "1"):
            return str(value) == "1"
        if not isinstance(value, bool):
            raise ValueError(f"it takes {self.takes()}")  # noqa: TRY004 -- what msgspec explains
        return value

    def takes(self) -> str:
        """Both forms."""
        return "true or false, or 1 or 0"

    def json_schema(self) -> dict[str, Any]:
        """Both forms."""
        return {"enum": [True, False, 0, 1]}


class Bytes:
    """A size with a unit, 0, or "max": no limit."""

    def parse(self, value: object) -> Value:
        """The bytes, or "max"."""
        if value == "max":
            return "max"
        if value == 0 and not isinstance(value, (str, bool)):
            return Size(0)
        return value if isinstance(value, Size) else Size(parse_size(value))

    def takes(self) -> str:
        """Sizes."""
        return 'a size, or "max"'

    def json_schema(self) -> dict[str, Any]:
        """A size."""
        return {"anyOf": [Size.json_schema(), {"enum": ["max", 0]}]}
