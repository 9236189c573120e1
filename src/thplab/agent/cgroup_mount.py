# SPDX-License-Identifier: GPL-2.0-only
"""The mount option memory_recursiveprot of cgroup2 (kernel/cgroup/cgroup.c), which holds for the whole machine."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from thplab.agent.system_calls import remount

__all__ = ["OPTION", "CgroupMount", "find_cgroup_mount", "set_recursiveprot"]

OPTION = "memory_recursiveprot"

_MS_REMOUNT = 1 << 5
_FLAGS = {
    "rw": 0,
    "ro": 1 << 0,
    "nosuid": 1 << 1,
    "nodev": 1 << 2,
    "noexec": 1 << 3,
    "noatime": 1 << 10,
    "nodiratime": 1 << 11,
    "relatime": 1 << 21,
}
"""What /proc/mounts calls the MS_* flags of mount(2); every other word is an option of cgroup2 itself."""


class CgroupMount(NamedTuple):
    """A cgroup2 file system, and the words that /proc/mounts has for it."""

    directory: Path
    words: tuple[str, ...]

    def remounted(self, recursiveprot: bool) -> tuple[int, str]:
        """The flags and the options of a remount that changes nothing but this option."""
        flags = _MS_REMOUNT
        options = []
        for word in self.words:
            if word in _FLAGS:
                flags |= _FLAGS[word]
            elif word != OPTION:
                options.append(word)
        if recursiveprot:
            options.append(OPTION)
        return flags, ",".join(options)


def find_cgroup_mount(base: Path, proc: Path = Path("/proc")) -> CgroupMount | None:
    """The cgroup2 file system that has the directory; None: there is none."""
    found = None
    for line in (proc / "mounts").read_text(encoding="utf-8").splitlines():
        _device, directory, kind, options, *_ = line.split()
        if kind == "cgroup2" and base.is_relative_to(directory):
            found = CgroupMount(Path(directory), tuple(options.split(",")))
    return found


def set_recursiveprot(base: Path, wanted: bool, *, may_change: bool) -> str:
    """Have cgroup2 mounted with the option, or without it.

    Args:
        base: the cgroup that stands for the scenario's root.
        wanted: what the scenario's host has.
        may_change: False on a host, whose own cgroups the option concerns too.

    Returns:
        What the kernel has in its place; "" if it has what is wanted.
    """
    mount = find_cgroup_mount(base)
    if mount is None:
        return f"cgroup2 is not mounted at {base}, so {OPTION} is unknown"
    if (OPTION in mount.words) == wanted:
        return ""
    problem = f"cgroup2 is mounted {'without' if wanted else 'with'} {OPTION} here, unlike the scenario's host"
    if not may_change:
        return f"{problem}; the agent leaves a host as it is"
    try:
        remount(mount.directory, *mount.remounted(wanted))
    except OSError as error:
        return f"{problem}, and it cannot be remounted: {error.strerror} (5.7 brought the option)"
    return ""
