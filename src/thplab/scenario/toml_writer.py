# SPDX-License-Identifier: GPL-2.0-only
"""Writes a Scenario as the text of a scenario file, which the loader reads back as the same Scenario."""

from __future__ import annotations

import msgspec
import tomli_w

from thplab.scenario.schema import Scenario
from thplab.scenario.written import encode_hook

__all__ = ["scenario_toml"]


def scenario_toml(scenario: Scenario) -> str:
    """The text of a file. Ranges in braces stay as the loader wrote them out."""
    tables = msgspec.to_builtins(scenario, enc_hook=encode_hook)
    tables.pop("origins", None)
    if not tables["host"]["thp"]:
        del tables["host"]["thp"]
    return tomli_w.dumps(_without_nothing(tables))


def _without_nothing(table: dict[str, object]) -> dict[str, object]:
    """The same without keys that have no value: TOML has no word for nothing."""
    return {key: _values(value) for key, value in table.items() if value is not None}


def _values(value: object) -> object:
    if isinstance(value, dict):
        return _without_nothing(value)
    return [_values(inner) for inner in value] if isinstance(value, (list, tuple)) else value
