# SPDX-License-Identifier: GPL-2.0-only
"""The deferred split shrinker's files below /sys/kernel/debug/shrinker (mm/shrinker_debug.c).

They need CONFIG_SHRINKER_DEBUG and a mounted debugfs. The shrinker's name is "thp-deferred_split",
followed by a number that the kernel chooses at boot.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["ShrinkerDebugfs", "find_deferred_split_shrinker", "why_no_shrinker_debugfs"]

_DIRECTORY = Path("kernel/debug/shrinker")
_NAME = "thp-deferred_split"


class ShrinkerDebugfs:
    """The count and scan files of one shrinker.

    Args:
        directory: such as /sys/kernel/debug/shrinker/thp-deferred_split-11.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def counts(self) -> dict[int, list[int]]:
        """What the shrinker counts, by cgroup inode: one number for each possible node.

        A cgroup whose numbers add up to 0, or that is offline, has no entry.
        """
        table = {}
        for line in (self.directory / "count").read_text(encoding="ascii").splitlines():
            inode, *columns = line.split()
            table[int(inode)] = [int(column) for column in columns]
        return table

    def scan(self, inode: int, node: int, count: int) -> None:
        """Call the shrinker's scan once, for `count` objects of one cgroup on one node.

        Raises:
            OSError: ENOENT when the cgroup is offline, EINVAL when there is no such node.
        """
        descriptor = os.open(self.directory / "scan", os.O_WRONLY)
        try:
            os.write(descriptor, f"{inode} {node} {count}".encode("ascii"))
        finally:
            os.close(descriptor)


def find_deferred_split_shrinker(sys: Path = Path("/sys")) -> ShrinkerDebugfs | None:
    """The deferred split shrinker's files; None if the kernel does not show them."""
    for directory in sorted((sys / _DIRECTORY).glob(f"{_NAME}-*")):
        return ShrinkerDebugfs(directory)
    return None


def why_no_shrinker_debugfs(sys: Path = Path("/sys")) -> str:
    """Why :func:`find_deferred_split_shrinker` found nothing."""
    debugfs = sys / "kernel/debug"
    if not debugfs.is_dir() or not any(debugfs.iterdir()):
        return "debugfs is not mounted on /sys/kernel/debug"
    if not (sys / _DIRECTORY).is_dir():
        return "this kernel was built without CONFIG_SHRINKER_DEBUG"
    return f"this kernel has no shrinker called {_NAME}"
