# SPDX-License-Identifier: GPL-2.0-only
"""/proc/vmstat: the counters of the whole machine, under the kernel's names (mm/vmstat.c)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["EVENT_PREFIXES", "fold_per_cpu_counters", "read_vmstat", "vmstat_events"]

EVENT_PREFIXES = (
    "allocstall",
    "compact_",
    "numa_",
    "oom_kill",
    "pgactivate",
    "pgdeactivate",
    "pgfault",
    "pgmajfault",
    "pgmigrate_",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "pswp",
    "slabs_scanned",
    "swpin_zero",
    "swpout_zero",
    "thp_",
    "unevictable_",
)
"""The counters of an Observation: counts of events, whose changes add up, and no gauges (nr_*)."""


def read_vmstat(proc: Path = Path("/proc")) -> dict[str, int]:
    """Every line of /proc/vmstat, by name.

    Raises:
        OSError: there is no such file.
    """
    counters = {}
    for line in (proc / "vmstat").read_text(encoding="ascii").splitlines():
        name, value = line.split()
        counters[name] = int(value)
    return counters


def vmstat_events(proc: Path = Path("/proc")) -> dict[str, int]:
    """The counters of events of /proc/vmstat, by name."""
    return {
        name: value for name, value in read_vmstat(proc).items() if name.startswith(EVENT_PREFIXES)
    }


def fold_per_cpu_counters(proc: Path = Path("/proc")) -> bool:
    """Bring the per-CPU parts of the memory counters into the global ones; needs root.

    Node figures otherwise lag by up to 125 pages for each CPU.

    Returns:
        Whether the kernel has done so.
    """
    try:
        (proc / "sys/vm/stat_refresh").write_text("1", encoding="ascii")
    except OSError:
        return False
    return True
