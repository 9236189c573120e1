# SPDX-License-Identifier: GPL-2.0-only
"""Every test of the model leaves the CPU as it found it, and complains only on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet(cpu_log: dict[str, int]) -> Iterator[dict[str, int]]:
    """The log of warnings, which must be empty at the end: a test that wants one clears it."""
    yield cpu_log
    assert cpu_log == {}


@pytest.fixture
def warnings_of(quiet: dict[str, int]) -> Iterator[dict[str, int]]:
    """The log of warnings, for a test that expects some."""
    yield quiet
    quiet.clear()
