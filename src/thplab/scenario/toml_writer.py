# SPDX-License-Identifier: GPL-2.0-only
"""A Scenario as the text of a scenario file: what the loader reads back is the same Scenario."""

from __future__ import annotations

import json
import re

import msgspec

from thplab.scenario.schema import Scenario, Size
from thplab.scenario.units import exact_size

__all__ = ["scenario_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def scenario_toml(scenario: Scenario) -> str:
    """The text of a file. Ranges in braces were written out by the loader and stay so."""
    tables = msgspec.to_builtins(scenario, enc_hook=_size)
    lines = [f"name = {_value(tables['name'])}", f"summary = {_value(tables['summary'])}"]
    for section in ("host", "cgroups", "tasks"):
        if tables.get(section):
            lines += ["", f"[{section}]"]
            lines += [f"{_key(name)} = {_value(value)}" for name, value in tables[section].items()]
    for section in ("steps", "claims"):
        for table in tables.get(section, ()):
            lines += ["", f"[[{section}]]"]
            lines += [
                f"{_key(name)} = {_value(value)}"
                for name, value in table.items()
                if value is not None
            ]
    return "\n".join(lines) + "\n"


def _size(value: object) -> str:
    if isinstance(value, Size):
        return exact_size(value)
    raise NotImplementedError(type(value).__name__)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        entries = [
            f"{_key(name)} = {_value(inner)}" for name, inner in value.items() if inner is not None
        ]
        return "{ " + ", ".join(entries) + " }" if entries else "{}"
    assert isinstance(value, (list, tuple))
    return "[" + ", ".join(_value(inner) for inner in value) + "]"
