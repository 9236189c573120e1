# SPDX-License-Identifier: GPL-2.0-only
"""Loads scenario files: decodes each once, strictly, and checks it as a whole.

>>> from thplab.scenario.loader import load
>>> load("scenarios/cover-letter.toml").name
'cover-letter'
"""

from __future__ import annotations

import os

from thplab.scenario.check import check
from thplab.scenario.decode import decode
from thplab.scenario.errors import ScenarioError
from thplab.scenario.schema import Scenario
from thplab.scenario.toml_text import parse_toml, read_text

__all__ = ["load", "loads"]


def load(path: str | os.PathLike[str]) -> Scenario:
    """Read a scenario file.

    Raises:
        ScenarioError: thplab cannot read it, or it is not a scenario; names file, place and remedy.
    """
    name = os.fspath(path)
    try:
        text = read_text(name)
    except ScenarioError as error:
        error.path = name
        raise
    return loads(text, path=name)


def loads(text: str, path: str = "<text>") -> Scenario:
    """Read a scenario from a text, which messages call `path`.

    Raises:
        ScenarioError: it is not a scenario; names `path`, place and remedy.
    """
    try:
        scenario = decode(parse_toml(text))
        check(scenario)
    except ScenarioError as error:
        error.path = error.path or path
        raise
    return scenario
