# SPDX-License-Identifier: GPL-2.0-only
"""Sizes in text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thplab.scenario.units import LARGEST, exact_size, human_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4K", 4096),
        ("2M", 2 << 20),
        ("1.5G", 3 << 29),
        ("0.25K", 256),
        ("64T", 64 << 40),
    ],
)
def test_a_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ("128", "no unit"),
        (128, "no unit"),
        (True, "no size"),
        ("2m", 'did you mean "2M"'),
        ("2MiB", 'did you mean "2M"'),
        ("2MB", 'did you mean "2M"'),
        ("0.3K", "whole number of bytes"),
        ("2000T", "largest"),
        ("", "a size is a number"),
        ("-2M", "a size is a number"),
        ("2M ", 'did you mean "2M"'),
        ("9" * 500 + "M", "a size is a number"),
        ("٣M", "a size is a number"),
        ("1e3M", "a size is a number"),
    ],
)
def test_a_wrong_size_is_explained(wrong: object, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        parse_size(wrong)


@given(st.integers(0, LARGEST >> 10))
def test_an_exact_size_reads_back(kibibytes: int) -> None:
    assert parse_size(exact_size(kibibytes << 10)) == kibibytes << 10


@given(st.integers(-LARGEST, LARGEST))
def test_a_human_size_is_short_and_within_a_percent(size: int) -> None:
    text = human_size(size)
    assert len(text) <= 6
    sign, magnitude = (-1, text[1:]) if text.startswith("-") else (1, text)
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}.get(magnitude[-1], 1)
    number = float(magnitude.rstrip("KMGT"))
    assert sign * number * unit == pytest.approx(size, rel=0.01)


def test_human_sizes_look_as_people_write_them() -> None:
    sizes = [0, 512, 4096, 65 << 20, 934 << 20, 3 << 29, 1 << 30, (1 << 30) - 4096, -(2 << 20)]
    assert [human_size(size) for size in sizes] == [
        *("0", "512", "4K", "65M", "934M", "1.50G", "1G", "1.00G", "-2M")
    ]
