# SPDX-License-Identifier: GPL-2.0-only
"""System calls that Python does not offer: functions of the C library, policies, migration, prctl.

Each raises OSError with the kernel's errno. Addresses and lengths are bytes.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

from thplab.scenario.policies import Mode

__all__ = [
    "MADV_FREE",
    "MADV_HUGEPAGE",
    "MADV_NOHUGEPAGE",
    "MAP_REGION",
    "PROT_READ_WRITE",
    "call",
    "die_with_parent",
    "disable_thp",
    "mbind",
    "move_pages",
    "policy_mode",
    "remount",
    "set_mempolicy",
]

MADV_FREE = 8
MADV_HUGEPAGE = 14
MADV_NOHUGEPAGE = 15

PROT_READ_WRITE = 0x3
_MAP_PRIVATE_ANONYMOUS = 0x22
_MAP_NORESERVE = 0x4000
_MAP_FIXED_NOREPLACE = 0x100000
MAP_REGION = _MAP_PRIVATE_ANONYMOUS | _MAP_NORESERVE | _MAP_FIXED_NOREPLACE
"""Private anonymous memory at exactly the given address, which must be free."""

_MPOL_MF_MOVE = 2
_PR_SET_PDEATHSIG = 1
_PR_SET_THP_DISABLE = 41
_SIGKILL = 9

# asm/unistd.h of each architecture: mbind, set_mempolicy, move_pages
_NUMBERS = {
    "x86_64": (237, 238, 279),
    "aarch64": (235, 237, 239),
}
_MODES: dict[Mode, int] = {
    "preferred": 1,
    "bind": 2,
    "interleave": 3,
    "local": 4,
    "preferred_many": 5,
    "weighted_interleave": 6,
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _check(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _number(index: int) -> ctypes.c_long:
    try:
        return ctypes.c_long(_NUMBERS[platform.machine()][index])
    except KeyError:
        raise OSError(f"the agent does not know the system calls of {platform.machine()}") from None


def call(name: str, *arguments: int) -> int:
    """Call a function of the C library that takes numbers and returns one, or -1 and errno if it fails."""
    function = getattr(_libc, name)
    function.restype = ctypes.c_long
    return _check(function(*(ctypes.c_long(argument) for argument in arguments)))


def policy_mode(mode: Mode) -> int:
    """The number of a memory policy's mode (uapi/linux/mempolicy.h)."""
    return _MODES[mode]


def mbind(address: int, length: int, mode: int, node_mask: int) -> None:
    """mbind(2) without flags: pages that are present stay where they are."""
    mask = ctypes.c_ulong(node_mask)
    pointer = ctypes.byref(mask) if node_mask else None
    _check(
        _libc.syscall(
            _number(0),
            ctypes.c_void_p(address),
            ctypes.c_ulong(length),
            ctypes.c_int(mode),
            pointer,
            ctypes.c_ulong(64),
            ctypes.c_uint(0),
        )
    )


def set_mempolicy(mode: int, node_mask: int) -> None:
    """set_mempolicy(2) of the calling task."""
    mask = ctypes.c_ulong(node_mask)
    pointer = ctypes.byref(mask) if node_mask else None
    _check(_libc.syscall(_number(1), ctypes.c_int(mode), pointer, ctypes.c_ulong(64)))


def move_pages(pid: int, addresses: list[int], node: int) -> list[int]:
    """move_pages(2) of another task's pages, if no other task maps them.

    Returns:
        For each address the node where the page now is, or a negative errno.
    """
    count = len(addresses)
    pages = (ctypes.c_void_p * count)(*addresses)
    nodes = (ctypes.c_int * count)(*([node] * count))
    status = (ctypes.c_int * count)()
    _check(
        _libc.syscall(
            _number(2),
            ctypes.c_int(pid),
            ctypes.c_ulong(count),
            pages,
            nodes,
            status,
            ctypes.c_int(_MPOL_MF_MOVE),
        )
    )
    return list(status)


def remount(directory: Path, flags: int, options: str) -> None:
    """mount(2) of a file system that is mounted already, with MS_REMOUNT among the flags."""
    place = os.fsencode(directory)
    _check(_libc.mount(b"none", place, None, ctypes.c_ulong(flags), options.encode("ascii")))


def disable_thp(disabled: bool) -> None:
    """prctl(PR_SET_THP_DISABLE): this process and the children that it forks get no huge pages."""
    _check(_libc.prctl(_PR_SET_THP_DISABLE, ctypes.c_ulong(disabled), 0, 0, 0))


def die_with_parent() -> None:
    """prctl(PR_SET_PDEATHSIG): the kernel kills the calling process when its parent ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(_SIGKILL), 0, 0, 0))
