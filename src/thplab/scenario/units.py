# SPDX-License-Identifier: GPL-2.0-only
"""Sizes in text: "2M" is 2097152 bytes, and back."""

from __future__ import annotations

import re

__all__ = ["LARGEST", "exact_size", "human_size", "parse_size"]

LARGEST = 1 << 50
"""Sizes end here (1 PiB): a scenario that says more has a mistake in it."""

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))?([KMGT])", re.ASCII)
_EXAMPLE = 'a size is a number with K, M, G or T: "4K", "128M", "1.5G"'


def parse_size(text: object) -> int:
    """The bytes that `text` stands for.

    Raises:
        ValueError: it has no unit, is not a whole number of bytes, or is beyond LARGEST.
    """
    if text == "0":
        return 0
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
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
    return "0" if size == 0 else f"{size} bytes"


def human_size(size: int) -> str:
    """`size` bytes for a reader, to three figures or a few more: "934M", "1.21G", "-4K"."""
    sign, magnitude = ("-" if size < 0 else ""), abs(size)
    for letter in "TGMK":
        unit = _UNITS[letter]
        # What would be rounded to "1024M" is "1.00G".
        if magnitude >= unit - unit // 2048:
            number = magnitude / unit
            digits = 0 if number >= 100 or magnitude % unit == 0 else 1 if number >= 10 else 2
            return f"{sign}{number:.{digits}f}{letter}"
    return f"{sign}{magnitude}"
