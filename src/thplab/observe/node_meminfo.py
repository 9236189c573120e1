# SPDX-License-Identifier: GPL-2.0-only
"""/sys/devices/system/node: which nodes there are, their CPUs and their memory (drivers/base/node.c)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["cpus_of_node", "online_nodes", "parse_id_list", "read_node_meminfo"]

_NODES = Path("devices/system/node")


def parse_id_list(text: str) -> list[int]:
    """The ids of a kernel list such as "0-2,5"."""
    ids: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            ids.extend(range(int(first), int(last or first) + 1))
    return ids


def online_nodes(sys: Path = Path("/sys")) -> list[int]:
    """The ids of the nodes that are online; [0] on a kernel without NUMA."""
    try:
        return parse_id_list((sys / _NODES / "online").read_text(encoding="ascii"))
    except FileNotFoundError:
        return [0]


def cpus_of_node(node: int, sys: Path = Path("/sys")) -> list[int]:
    """The ids of the node's CPUs; none on a kernel without NUMA."""
    path = sys / _NODES / f"node{node}" / "cpulist"
    try:
        return parse_id_list(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return []


def read_node_meminfo(
    node: int, sys: Path = Path("/sys"), proc: Path = Path("/proc")
) -> dict[str, int]:
    """The node's meminfo by the kernel's names ("MemFree", "AnonPages"), in bytes; counts as they are.

    On a kernel without NUMA, node 0 has the meminfo of the whole machine.
    """
    path = sys / _NODES / f"node{node}" / "meminfo"
    if not path.exists() and node == 0:
        path = proc / "meminfo"
    figures = {}
    for line in path.read_text(encoding="ascii").splitlines():
        before, _, after = line.partition(":")
        value, *unit = after.split()
        figures[before.split()[-1]] = int(value) * (1024 if unit == ["kB"] else 1)
    return figures
