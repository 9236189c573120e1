# SPDX-License-Identifier: GPL-2.0-only
"""What all tests share: how thplab runs (compiled or interpreted), and what is left out by default."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from thplab.cpu import hook

# No deadline: an interpreted run on a loaded machine is slow now and then.
settings.register_profile(
    "thplab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("thplab")


def how_thplab_runs() -> str:
    """ "compiled" or "interpreted": all modules of the model are alike."""
    return "compiled" if str(hook.__file__).endswith(".so") else "interpreted"


def pytest_report_header() -> str:
    """Say which thplab is tested."""
    return f"thplab: {how_thplab_runs()}, {hook.__file__}"


def pytest_sessionstart() -> None:
    """Refuse to test the wrong one: a silent fallback must not pass for a compiled build."""
    expected = os.environ.get("THPLAB_EXPECT")
    if expected and expected != how_thplab_runs():
        pytest.exit(f"thplab is {how_thplab_runs()}, {expected} is wanted: {hook.__file__}", 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that boot a kernel run only when the marker is asked for."""
    if "vm" in str(config.getoption("markexpr")):
        return
    not_now = pytest.mark.skip(reason="boots a kernel, which takes a while: make test-vm (-m vm)")
    for item in items:
        if item.get_closest_marker("vm") is not None:
            item.add_marker(not_now)


@pytest.fixture
def cpu_log() -> Iterator[dict[str, int]]:
    """The log of warnings of a CPU that the test has to itself, and must leave as it found it."""
    cpu = hook.Cpu(0)
    log: dict[str, int] = {}
    with hook.Entered([cpu], log):
        yield log
    hook.detach()
    held = (cpu.locks_held, cpu.rcu_nesting, cpu.irqs_on)
    assert held == (0, 0, True), "locks held, RCU nesting, interrupts on"


@pytest.fixture
def watched() -> Iterator[hook.Watcher]:
    """A watcher that looks and does nothing: the branches that only an explorer takes are taken."""
    watcher = hook.Watcher()
    hook.attach(watcher)
    yield watcher
    hook.detach()
