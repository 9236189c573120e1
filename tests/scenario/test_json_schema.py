# SPDX-License-Identifier: GPL-2.0-only
"""The JSON Schema says what the loader takes: the same keys, the same steps."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from thplab.scenario.json_schema import json_schema, schema_text
from thplab.scenario.library import library_files
from thplab.scenario.loader import load
from thplab.scenario.steps import STEPS

SCHEMA = json_schema()
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]


def complaints(value: object, schema: dict[str, Any]) -> list[str]:
    """Why `value` does not fit: as much of JSON Schema as ours uses."""
    if "$ref" in schema:
        return complaints(value, DEFINITIONS[schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        found = [complaints(value, choice) for choice in schema["anyOf"]]
        return [] if any(not each for each in found) else min(found, key=len)
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{value!r} not in {schema['enum']}"]
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "boolean": bool,
        "null": type(None),
    }
    kind = kinds[schema["type"]]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return [f"{value!r} is no {schema['type']}"]
    wrong: list[str] = []
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        wrong.append(f"{value!r} does not match")
    if isinstance(value, list):
        items = schema.get("items", {})
        wrong += [text for each in value for text in complaints(each, items)]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        rest = schema.get("additionalProperties", True)
        wrong += [f"{key} is missing" for key in schema.get("required", []) if key not in value]
        for key, inner in value.items():
            if key in known:
                wrong += complaints(inner, known[key])
            elif rest is False:
                wrong.append(f"{key} is unknown")
            elif isinstance(rest, dict):
                wrong += complaints(inner, rest)
    return wrong


@pytest.mark.parametrize("file", library_files(), ids=lambda file: file.stem)
def test_every_scenario_of_the_library_fits_the_schema(file: Path) -> None:
    load(file)
    assert complaints(tomllib.loads(file.read_text()), SCHEMA) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('size = "128M"', "size = 128"),
        ('size = "128M"', 'size = "128"'),
        ('do = "touch"', 'do = "tuch"'),
        ("node = 1", "noed = 1"),
        ('"/victim" = {}', '"/victim" = { max = "1M" }'),
        ('at = "after"', ""),
    ],
)
def test_what_the_loader_refuses_by_its_form_the_schema_refuses(old: str, new: str) -> None:
    text = next(file for file in library_files() if file.stem == "cover-letter").read_text()
    assert old in text
    assert complaints(tomllib.loads(text.replace(old, new)), SCHEMA) != []


def test_every_step_is_described() -> None:
    for step in STEPS.values():
        definition = DEFINITIONS[step.__name__]
        assert definition["properties"]["do"]["enum"] == [step.__struct_config__.tag]
        assert definition["description"]


def test_the_schema_does_not_offer_what_only_the_loader_sets() -> None:
    assert "origins" not in DEFINITIONS["Scenario"]["properties"]


def test_the_text_is_the_schema_with_sorted_keys() -> None:
    assert json.loads(schema_text()) == SCHEMA
    assert schema_text() == json.dumps(SCHEMA, indent=2, sort_keys=True) + "\n"
