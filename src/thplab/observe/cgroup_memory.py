# SPDX-License-Identifier: GPL-2.0-only
"""memory.stat, memory.numa_stat, memory.events and single numbers of a version 2 cgroup (mm/memcontrol.c)."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "read_memory_by_node",
    "read_memory_events",
    "read_memory_numa_stat",
    "read_memory_number",
    "read_memory_stat",
]


def read_memory_stat(cgroup: Path) -> dict[str, int]:
    """memory.stat: bytes, or counts of events, by the kernel's names.

    Args:
        cgroup: the cgroup's directory.
    """
    return _read_pairs(cgroup / "memory.stat")


def read_memory_events(cgroup: Path) -> dict[str, int]:
    """memory.events: counts by the kernel's names; empty for the root cgroup, which has no such file."""
    try:
        return _read_pairs(cgroup / "memory.events")
    except FileNotFoundError:
        return {}


def read_memory_number(cgroup: Path, name: str) -> int | None:
    """memory.current or memory.peak: bytes; None if there is no such file."""
    try:
        return int((cgroup / name).read_text(encoding="ascii"))
    except FileNotFoundError:
        return None


def _read_pairs(path: Path) -> dict[str, int]:
    figures = {}
    for line in path.read_text(encoding="ascii").splitlines():
        name, value = line.split()
        figures[name] = int(value)
    return figures


def read_memory_numa_stat(cgroup: Path) -> dict[str, dict[int, int]]:
    """memory.numa_stat: bytes by the kernel's name, then by node id.

    Args:
        cgroup: the cgroup's directory. The figures include those of its descendants.
    """
    figures: dict[str, dict[int, int]] = {}
    for line in (cgroup / "memory.numa_stat").read_text(encoding="ascii").splitlines():
        name, *columns = line.split()
        by_node = {}
        for column in columns:
            node, value = column.removeprefix("N").split("=")
            by_node[int(node)] = int(value)
        figures[name] = by_node
    return figures


def read_memory_by_node(cgroup: Path, nodes: int) -> dict[str, dict[int, int]] | None:
    """memory.numa_stat; if the kernel does not have it and the host has one node, memory.stat says the same.

    Args:
        cgroup: the cgroup's directory.
        nodes: how many nodes the host has.

    Returns:
        As :func:`read_memory_numa_stat`; None if neither gives figures by node.
    """
    try:
        return read_memory_numa_stat(cgroup)
    except FileNotFoundError:
        if nodes > 1:
            return None
        return {name: {0: value} for name, value in read_memory_stat(cgroup).items()}
