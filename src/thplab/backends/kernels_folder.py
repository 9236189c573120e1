# SPDX-License-Identifier: GPL-2.0-only
"""The folder of kernels that the tests and `thplab doctor` use."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["kernels_folder", "kernels_in_folder"]


def kernels_folder() -> Path:
    """$THPLAB_KERNELS, or ../shared/kernels seen from the current directory."""
    return Path(os.environ.get("THPLAB_KERNELS") or "../shared/kernels")


def kernels_in_folder() -> list[Path]:
    """The images there, by name; none if there is no such folder."""
    return sorted(kernels_folder().glob("bzImage-*"))
