# SPDX-License-Identifier: GPL-2.0-only
"""Finds out whether KVM works here, by a boot that takes seconds.

That thplab can open /dev/kvm says little: inside a virtual machine KVM may accept a guest and then
fail, or never run it.
"""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

__all__ = ["KvmVerdict", "try_kvm"]

_PATIENCE_SECONDS = 6.0
_GOT_THROUGH = b"Kernel panic - not syncing"


class KvmVerdict:
    """Whether KVM works, and why not."""

    def __init__(self, works: bool, reason: str) -> None:
        self.works = works
        self.reason = reason


@functools.cache
def try_kvm(qemu: str, kernel: Path) -> KvmVerdict:
    """Boot a kernel under KVM without a root file system: KVM works if the kernel reaches its panic.

    Args:
        qemu: the QEMU program.
        kernel: any image.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return KvmVerdict(False, "/dev/kvm does not exist, or this user may not open it")
    command = [qemu, "-accel", "kvm", "-cpu", "host", "-m", "256M", "-nodefaults"]
    command += ["-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", str(kernel)]
    command += ["-append", "console=ttyS0 panic=-1"]
    try:
        tried = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        if _GOT_THROUGH in (expired.stdout or b""):
            return KvmVerdict(True, "")
        return KvmVerdict(False, f"a guest did not boot within {_PATIENCE_SECONDS:.0f} s")
    except OSError as error:
        return KvmVerdict(False, f"{qemu}: {error.strerror}")
    if _GOT_THROUGH in tried.stdout:
        return KvmVerdict(True, "")
    complaint = tried.stderr.decode(errors="replace").strip().splitlines()
    return KvmVerdict(False, complaint[0] if complaint else f"QEMU ended with {tried.returncode}")
