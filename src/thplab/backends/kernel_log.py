# SPDX-License-Identifier: GPL-2.0-only
"""Finds the complaints in a guest's kernel log, and keeps the log."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

__all__ = ["Complaints", "find_complaints", "keep_kernel_log", "panic_of"]

_COMPLAINT = re.compile(
    r"WARNING: |BUG: |kernel BUG at |Oops|general protection fault|list_(?:add|del) corruption"
    r"|refcount_t: |ODEBUG: |INFO: task .* blocked for more than|INFO: rcu|rcu: INFO: "
    r"|INFO: trying to register non-static key|Kernel panic - not syncing"
)
_KNOWN = {
    "topology_sane": "the emulated NUMA topology has CPUs of one package on two nodes",
}
"""Harmless complaints, by a word of their line, and why they are harmless."""

_TIME = re.compile(r"^\[\s*\d+\.\d+\]\s*")
_MARK = re.compile(r"thplab: scenario (\d+) (begins|ends)")
_PANIC = re.compile(r"Kernel panic - not syncing.*")
_KEPT = 20


class Complaints:
    """The complaints of a kernel log.

    Attributes:
        by_scenario: lines that the kernel logged during a scenario, by its place in the batch.
        elsewhere: lines from the boot and from between scenarios.
        known: the reasons of the harmless ones.
    """

    def __init__(self) -> None:
        self.by_scenario: dict[int, list[str]] = {}
        self.elsewhere: list[str] = []
        self.known: list[str] = []


def find_complaints(log: str) -> Complaints:
    """Every warning, BUG, Oops, lockdep, RCU and hung-task report of a log, one line each."""
    complaints = Complaints()
    scenario: int | None = None
    for raw in log.splitlines():
        mark = _MARK.search(raw)
        if mark:
            scenario = int(mark[1]) if mark[2] == "begins" else None
            continue
        if not _COMPLAINT.search(raw):
            continue
        line = _TIME.sub("", raw.strip())
        known = next((reason for word, reason in _KNOWN.items() if word in line), None)
        if known is not None:
            complaints.known.append(f"{line} ({known})")
        elif scenario is None:
            complaints.elsewhere.append(line)
        else:
            complaints.by_scenario.setdefault(scenario, []).append(line)
    return complaints


def panic_of(log: str) -> str | None:
    """The line of the kernel's panic, if it panicked."""
    match = _PANIC.search(log)
    return match[0].strip() if match else None


def keep_kernel_log(name: str, log: str) -> Path:
    """Store a log below the user's cache directory, and remove the oldest logs there.

    Args:
        name: of the kernel.
        log: the text.

    Returns:
        The file.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = cache / "thplab" / "kernel-logs"
    directory.mkdir(parents=True, exist_ok=True)
    kept = sorted(directory.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    for path in kept[: max(0, len(kept) - _KEPT + 1)]:
        path.unlink(missing_ok=True)
    descriptor, file = tempfile.mkstemp(
        prefix=f"{name.replace('/', '_')}-", suffix=".log", dir=directory
    )
    os.close(descriptor)
    path = Path(file)
    path.write_text(log, encoding="utf-8")
    return path
