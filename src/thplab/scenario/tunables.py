# SPDX-License-Identifier: GPL-2.0-only
"""The files that a `set` step may write, and what each takes."""

from __future__ import annotations

from thplab.scenario.units import parse_size

__all__ = ["CGROUP_FILES", "TUNABLES", "cgroup_value", "tunable_value"]

CGROUP_FILES = ("memory.max", "memory.high", "memory.low", "memory.min")

_CHOICES: dict[str, tuple[str, ...]] = {
    "enabled": ("always", "madvise", "never"),
    "defrag": ("always", "defer", "defer+madvise", "madvise", "never"),
}
_NUMBERS: dict[str, tuple[int, int]] = {
    "shrink_underused": (0, 1),
    "khugepaged/max_ptes_none": (0, 511),
    "khugepaged/pages_to_scan": (1, (1 << 32) - 1),
    "khugepaged/scan_sleep_millisecs": (0, (1 << 32) - 1),
}
TUNABLES = (*_CHOICES, *_NUMBERS)
"""The files below /sys/kernel/mm/transparent_hugepage."""


def cgroup_value(value: str | int) -> int | None:
    """The bytes of a cgroup's limit; None is "max", no limit.

    Raises:
        ValueError: neither a size with a unit, nor "max", nor 0.
    """
    if value == "max":
        return None
    if value == 0 and not isinstance(value, str):
        return 0
    return parse_size(value)


def tunable_value(file: str, value: str | int) -> str | int:
    """`value` as the file holds it: a word, or a number (also when written as text).

    Raises:
        KeyError: no such file.
        ValueError: the file does not take the value; the message says what it takes.
    """
    choices = _CHOICES.get(file)
    if choices is not None:
        if value not in choices:
            raise ValueError("it takes " + ", ".join(f'"{choice}"' for choice in choices))
        return value
    lowest, highest = _NUMBERS[file]
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ValueError(f"it takes a number from {lowest} to {highest}")
    number = int(text)
    if not lowest <= number <= highest:
        raise ValueError(f"it takes a number from {lowest} to {highest}")
    return number
