# SPDX-License-Identifier: GPL-2.0-only
"""Cleans up after a thplab that was killed (SIGKILL, the OOM killer) and could not do it itself."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

__all__ = ["guarded"]


@contextlib.contextmanager
def guarded(script: str, *arguments: str) -> Iterator[None]:
    """Start a shell that runs `script` if this process ends within the context.

    It waits for the end of a pipe that only this process holds open. It has a session of its own, so
    that no control-C reaches it.

    Args:
        script: for a POSIX shell.
        arguments: its "$1", "$2" ...
    """
    waiting, held = os.pipe()
    try:
        guardian = subprocess.Popen(
            ["/bin/sh", "-c", f"read -r _; {script}", "thplab-guardian", *arguments],
            stdin=waiting,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    finally:
        os.close(waiting)
    try:
        yield
    finally:
        guardian.kill()
        guardian.wait()
        os.close(held)
