# SPDX-License-Identifier: GPL-2.0-only
"""Where kernels to compare with are kept, for the tests and for `thplab doctor`."""

from __future__ import annotations

import os
from pathlib import Path

import thplab

__all__ = ["kernels_folder", "kernels_in_folder"]


def kernels_folder() -> Path:
    """$THPLAB_KERNELS, or ../shared/kernels beside a source tree."""
    chosen = os.environ.get("THPLAB_KERNELS")
    if chosen:
        return Path(chosen)
    root = Path(thplab.__file__).resolve().parent.parent.parent
    return root.parent / "shared" / "kernels"


def kernels_in_folder() -> list[Path]:
    """The images there, by name; none if there is no such folder."""
    return sorted(kernels_folder().glob("bzImage-*"))
