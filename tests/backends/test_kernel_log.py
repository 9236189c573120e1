# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's complaints are found, told apart, and its log is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from thplab.backends.kernel_log import find_complaints, keep_kernel_log, panic_of

LOG = """\
[    0.000000] Linux version 6.12.117-N
[    0.153012] WARNING: CPU: 1 PID: 0 at arch/x86/kernel/smpboot.c:350 topology_sane.isra.0+0x6a/0x80
[    5.100000] thplab: scenario 0 begins: one
[    5.200000] WARNING: possible circular locking dependency detected
[    5.300000] thplab: scenario 0 ends
[    6.100000] thplab: scenario 1 begins: two
[    6.200000] Out of memory: Killed process 58 (python) total-vm:1031468kB
[    6.300000] thplab: scenario 1 ends
[    7.000000] BUG: Bad page state in process python  pfn:1234
"""


def test_a_complaint_belongs_to_the_scenario_it_came_in() -> None:
    complaints = find_complaints(LOG)
    assert complaints.by_scenario == {0: ["WARNING: possible circular locking dependency detected"]}
    assert complaints.elsewhere == ["BUG: Bad page state in process python  pfn:1234"]


def test_the_warning_of_the_emulated_topology_is_known_and_not_counted() -> None:
    (known,) = find_complaints(LOG).known
    assert "topology_sane" in known
    assert "emulated NUMA topology" in known


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: CPU: 0 PID: 1 at mm/list_lru.c:100 list_lru_add+0x1/0x2",
        "WARNING: suspicious RCU usage",
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        "BUG: soft lockup - CPU#1 stuck for 22s! [python:58]",
        "kernel BUG at mm/huge_memory.c:3000!",
        "Oops: general protection fault, probably for non-canonical address",
        "list_del corruption. prev->next should be ffff, but was dead000000000100",
        "INFO: task python:58 blocked for more than 120 seconds.",
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "refcount_t: underflow; use-after-free.",
        "Kernel panic - not syncing: System is deadlocked on memory",
    ],
)
def test_each_way_of_a_kernel_to_complain_is_known(line: str) -> None:
    assert find_complaints(f"[    9.000000] {line}\n").elsewhere == [line]


def test_an_oom_kill_is_no_complaint() -> None:
    assert find_complaints("[    1.0] Out of memory: Killed process 58 (python)\n").elsewhere == []


def test_a_panic_is_found() -> None:
    assert panic_of(LOG) is None
    text = LOG + "[    8.0] Kernel panic - not syncing: Attempted to kill init!\n"
    assert panic_of(text) == "Kernel panic - not syncing: Attempted to kill init!"


def test_logs_are_kept_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    paths = [keep_kernel_log("debian:6.12", f"log {number}") for number in range(25)]
    assert len(set(paths)) == 25
    assert paths[-1].read_text(encoding="utf-8") == "log 24"
    assert len(list(paths[-1].parent.iterdir())) == 20
