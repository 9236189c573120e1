# SPDX-License-Identifier: GPL-2.0-only
"""The library of scenario files that thplab comes with."""

from __future__ import annotations

from pathlib import Path

import thplab
from thplab.scenario.errors import InputError

__all__ = ["library_dir", "library_files"]


def library_dir() -> Path:
    """The folder of the library: thplab/library when installed, scenarios/ of a source tree.

    Raises:
        InputError: neither is there.
    """
    package = Path(thplab.__file__).parent
    installed = package / "library"
    checkout = package.parent.parent / "scenarios"
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise InputError(
        f"the scenario library is neither at {installed} nor at {checkout}; reinstall thplab"
    )


def library_files() -> list[Path]:
    """The scenario files of the library, by name."""
    return sorted(library_dir().glob("*.toml"))
