# SPDX-License-Identifier: GPL-2.0-only
"""Sizes in text: "2M" is 2097152 bytes, and back."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any, Self

from thplab.scenario.written import Written

__all__ = ["LARGEST", "Size", "exact_size", "human_size", "parse_size"]

LARGEST = 1 << 50
"""The largest size (1 PiB): a scenario with a larger one has a mistake."""

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,10}))?([KMGT])", re.ASCII)
_EXAMPLE = 'a size is a number with K, M, G or T: "4K", "128M", "1.5G"'


class Size(int, Written):
    """A number of bytes, written with a unit: "4K", "2M", "1.5G", "1T", or "0"."""

    @classmethod
    def parse(cls, value: object) -> Self:
        """See :func:`parse_size`."""
        return cls(parse_size(value))

    def written(self) -> str:
        """See :func:`exact_size`."""
        return exact_size(self)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """A text with a unit."""
        return {
            "type": "string",
            "pattern": r"^(0|[0-9]+(\.[0-9]+)?[KMGT])$",
            "description": 'bytes: a number with K, M, G or T, as "4K", "128M", "1.5G"; or "0"',
        }


def parse_size(text: object) -> int:
    """The bytes that `text` stands for.

    Raises:
        ValueError: it has no unit, is not a whole number of bytes, or is beyond LARGEST.
    """
    if not isinstance(text, str):
        raise ValueError(_not_a_size(text))  # noqa: TRY004 -- what msgspec explains
    return _parsed(text)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> int:
    if text == "0":
        return 0
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(_not_a_size(text))
    whole, fraction, letter = match.groups(default="")
    unit = _UNITS[letter]
    scale = int(10 ** len(fraction))
    scaled = int(whole + fraction) * unit
    if scaled % scale:
        raise ValueError(f'"{text}" is not a whole number of bytes; {_EXAMPLE}')
    size = scaled // scale
    if size > LARGEST:
        raise ValueError(f'"{text}" is beyond the largest size, {exact_size(LARGEST)}')
    return size


def _not_a_size(text: object) -> str:
    if not isinstance(text, str):
        number = isinstance(text, int) and not isinstance(text, bool)
        return f"{str(text)[:20]} has no unit; {_EXAMPLE}" if number else f"no size; {_EXAMPLE}"
    shown = text if len(text) <= 20 and text.isprintable() else "this text"
    if text.isascii() and text.isdigit():
        return f'"{shown}" has no unit; {_EXAMPLE}'
    better = text.strip().upper().removesuffix("IB").removesuffix("B")
    if _SIZE.fullmatch(better):
        return f'"{shown}" is not a size; did you mean "{better}"?'
    return f'"{shown}" is not a size; {_EXAMPLE}'


def exact_size(size: int) -> str:
    """The text that parse_size() turns back into `size`, with the largest unit that divides it."""
    for letter in "TGMK":
        unit = _UNITS[letter]
        if size and size % unit == 0:
            return f"{size // unit}{letter}"
    return "0" if size == 0 else f"{Decimal(size) / _UNITS['K']}K"


def human_size(size: int) -> str:
    """`size` bytes for a reader, to three figures or a few more: "934M", "1.21G", "-4K"."""
    sign, magnitude = ("-" if size < 0 else ""), abs(size)
    for letter in "TGMK":
        unit = _UNITS[letter]
        # A size that would be rounded to "1024M" becomes "1.00G".
        if magnitude >= unit - unit // 2048:
            number = magnitude / unit
            digits = 0 if number >= 100 or magnitude % unit == 0 else 1 if number >= 10 else 2
            return f"{sign}{number:.{digits}f}{letter}"
    return f"{sign}{magnitude}"
