# SPDX-License-Identifier: GPL-2.0-only
"""Every test of the model leaves the CPU as it found it, and complains only on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from thplab.cpu.hook import BOOT_CPU, H, detach


@pytest.fixture(autouse=True)
def quiet() -> Iterator[dict[str, int]]:
    """The log of warnings, which must be empty at the end: a test that wants one clears it."""
    H.log = {}
    yield H.log
    left = dict(H.log)
    held = (BOOT_CPU.locks_held, BOOT_CPU.rcu_nesting, BOOT_CPU.irqs_on)
    detach()
    H.log = {}
    assert left == {}
    assert held == (0, 0, True), "locks held, RCU nesting, interrupts on"


@pytest.fixture
def warnings_of(quiet: dict[str, int]) -> Iterator[dict[str, int]]:
    """The log of warnings, for a test that expects some."""
    yield quiet
    quiet.clear()
