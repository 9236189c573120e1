# SPDX-License-Identifier: GPL-2.0-only
"""The library of scenario files that comes with thplab."""

from __future__ import annotations

from pathlib import Path

import thplab
from thplab.scenario.errors import InputError
from thplab.scenario.loader import load
from thplab.scenario.naming import meant, quoted
from thplab.scenario.schema import Scenario

__all__ = ["find_scenario", "library_dir", "library_files"]


def library_dir() -> Path:
    """The folder of the library: thplab/library when installed, scenarios/ of a source tree.

    Raises:
        InputError: neither exists.
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


def find_scenario(argument: str) -> Scenario:
    """Load the file `argument`, or the library's scenario of that name.

    Raises:
        ScenarioError: the file is not a scenario.
        InputError: neither exists.
    """
    if "/" in argument or argument.endswith(".toml") or Path(argument).is_file():
        return load(argument)
    library = {file.stem: file for file in library_files()}
    if argument not in library:
        raise InputError(
            f"there is no scenario {quoted(argument)}; {meant(argument, library, 'scenarios')}"
        )
    return load(library[argument])
