# SPDX-License-Identifier: GPL-2.0-only
"""Every test of the model leaves the CPU as it found it, and complains only on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mm.small import small_machine, start
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import Task


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


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A small machine with the newest design, on which everything must still add up at the end."""
    machine = small_machine()
    yield machine
    assert check(machine) == []


@pytest.fixture
def task(machine: Machine) -> Task:
    """A task of the machine, in the cgroup /job."""
    return start(machine)
