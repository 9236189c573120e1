# SPDX-License-Identifier: GPL-2.0-only
"""Pieces of /proc and /sys as files in a directory, in the kernel's own form."""

from __future__ import annotations

import struct
from pathlib import Path


def write(root: Path, path: str, text: str) -> None:
    """Write one file, with its directories."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="ascii")


def write_words(path: Path, words: dict[int, int], last: int) -> None:
    """A file of 64-bit words such as pagemap: `words` by index, the rest up to `last` 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [words.get(index, 0) for index in range(last)]
    path.write_bytes(struct.pack(f"={last}Q", *values))
