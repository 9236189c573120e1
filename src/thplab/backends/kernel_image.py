# SPDX-License-Identifier: GPL-2.0-only
"""Kernels to boot: an image file, or the name of a distribution's package."""

from __future__ import annotations

import os
from pathlib import Path

from thplab.scenario.errors import InputError

__all__ = ["KernelImage", "find_kernel", "kernel_title", "linux_of"]

_SETUP_SECTORS = 0x1F1
_SYSTEM_SIZE = 0x1F4
_MAGIC_OFFSET = 0x202
_MAGIC = b"HdrS"
_VERSION = 0x206
_VERSION_TEXT = 0x20E
_XLOADFLAGS = 0x236
_HEADER = 0x238
"""Offsets from Documentation/arch/x86/boot.rst; sizes are in sectors of 512 bytes and units of 16 bytes."""
_HAS_XLOADFLAGS = 0x20C
_XLF_KERNEL_64 = 1
_OTHERS = {b"ARM\x64": "arm64", b"RSC\x05": "RISC-V"}
_OTHERS_AT = 0x38
"""Where other architectures have their magic number (Documentation/arch/arm64/booting.rst, riscv/boot-image-header.rst)."""


class KernelImage:
    """A kernel that can be booted.

    Attributes:
        path: the image file.
        name: the title of its column.
        lacks_9p: it has no 9p built in, and its modules are not there: it takes virtiofs.
    """

    def __init__(self, path: Path, name: str, *, lacks_9p: bool = False) -> None:
        self.path = path
        self.name = name
        self.lacks_9p = lacks_9p


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
        from thplab.backends.debian_kernel import fetch_debian_kernel, has_modules

        image = fetch_debian_kernel(kernel.removeprefix("debian:"))
        return KernelImage(image, kernel_title(kernel), lacks_9p=not has_modules(image))
    path = Path(kernel)
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise InputError(
            f"kernel image {kernel}: {error.strerror}; give the path of a bzImage, or debian:6.12"
        ) from error
    architecture = _foreign(header)
    if architecture:
        raise InputError(
            f"kernel image {kernel}: it is a kernel for {architecture}; guests are x86-64 machines, so give "
            "the image of an x86-64 kernel"
        )
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


def linux_of(path: Path) -> str:
    """The uname -r of an image, which its boot header points at; "" if it does not."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
            offset = int.from_bytes(header[_VERSION_TEXT:][:2], "little")
            if header[_MAGIC_OFFSET:][: len(_MAGIC)] != _MAGIC or not offset:
                return ""
            file.seek(0x200 + offset)
            text = file.read(256)
    except OSError:
        return ""
    return text.partition(b"\0")[0].decode("ascii", "replace").partition(" ")[0]


def _foreign(header: bytes) -> str:
    """The architecture of an image that is not for x86-64; "" if it is, or nothing is known."""
    if header[_MAGIC_OFFSET:][: len(_MAGIC)] != _MAGIC:
        return _OTHERS.get(header[_OTHERS_AT:][:4], "")
    version = int.from_bytes(header[_VERSION:][:2], "little")
    if version >= _HAS_XLOADFLAGS and not header[_XLOADFLAGS] & _XLF_KERNEL_64:
        return "32-bit x86"
    return ""


def _size_by_header(header: bytes) -> int:
    """The size of an image in bytes, by its boot header."""
    sectors = header[_SETUP_SECTORS] or 4
    return (sectors + 1) * 512 + int.from_bytes(header[_SYSTEM_SIZE:][:4], "little") * 16
