# SPDX-License-Identifier: GPL-2.0-only
"""Kernels to boot: an image file, or the name of a distribution's package."""

from __future__ import annotations

import os
from pathlib import Path

from thplab.scenario.errors import InputError

__all__ = ["KernelImage", "find_kernel", "kernel_title"]

_SETUP_SECTORS = 0x1F1
_SYSTEM_SIZE = 0x1F4
_MAGIC_OFFSET = 0x202
_MAGIC = b"HdrS"
_HEADER = 0x210
"""Offsets from Documentation/arch/x86/boot.rst; sizes are in sectors of 512 bytes and units of 16 bytes."""


class KernelImage:
    """A kernel that can be booted.

    Attributes:
        path: the image file.
        name: the title of its column.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name


def kernel_title(kernel: str) -> str:
    """The title of the column of a kernel that an option names."""
    return kernel if kernel.startswith("debian:") else Path(kernel).name


def find_kernel(kernel: str) -> KernelImage:
    """The kernel that an option names.

    Args:
        kernel: a path, or "debian:RELEASE" ("debian:6.12"), which apt's tools download unless it
            is in the cache.

    Raises:
        InputError: there is no such file, it is no kernel, or apt cannot get it.
    """
    if kernel.startswith("debian:"):
        from thplab.backends.debian_kernel import fetch_debian_kernel

        return KernelImage(
            fetch_debian_kernel(kernel.removeprefix("debian:")), kernel_title(kernel)
        )
    path = Path(kernel)
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise InputError(
            f"kernel image {kernel}: {error.strerror}; give the path of a bzImage, or debian:6.12"
        ) from error
    if header[_MAGIC_OFFSET:][: len(_MAGIC)] != _MAGIC:
        raise InputError(
            f"kernel image {kernel}: it is no x86 kernel image (no boot header); "
            "give a bzImage or vmlinuz, not a vmlinux"
        )
    wanted = _size_by_header(header)
    if size < wanted:
        raise InputError(
            f"kernel image {kernel}: it is cut off: {size} bytes of at least {wanted}; copy it again"
        )
    return KernelImage(path.resolve(), kernel_title(kernel))


def _size_by_header(header: bytes) -> int:
    """The size of an image in bytes, by its boot header."""
    sectors = header[_SETUP_SECTORS] or 4
    return (sectors + 1) * 512 + int.from_bytes(header[_SYSTEM_SIZE:][:4], "little") * 16
