# SPDX-License-Identifier: GPL-2.0-only
"""The scenario that a command line names: a file, or one of the library."""

from __future__ import annotations

from pathlib import Path

from thplab.scenario.errors import InputError
from thplab.scenario.library import library_files
from thplab.scenario.loader import load
from thplab.scenario.naming import meant, quoted
from thplab.scenario.schema import Scenario

__all__ = ["find_scenario"]


def find_scenario(argument: str) -> Scenario:
    """Load the file `argument`, or the library's scenario of that name.

    Raises:
        ScenarioError: the file is not a scenario.
        InputError: there is neither.
    """
    if "/" in argument or argument.endswith(".toml") or Path(argument).is_file():
        return load(argument)
    library = {file.stem: file for file in library_files()}
    if argument not in library:
        raise InputError(
            f"there is no scenario {quoted(argument)}; {meant(argument, library, 'scenarios')}"
        )
    return load(library[argument])
