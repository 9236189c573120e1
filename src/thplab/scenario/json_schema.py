# SPDX-License-Identifier: GPL-2.0-only
"""The scenario language as a JSON Schema, generated from the structs: editors complete and check with it."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import msgspec

from thplab.scenario import schema
from thplab.scenario.schema import Scenario, Size

__all__ = ["json_schema", "schema_text"]

_RANGE = r"\{[0-9]{1,6}\.\.[0-9]{1,6}\}"
_SIZE = {
    "type": "string",
    "pattern": r"^(0|[0-9]+(\.[0-9]+)?[KMGT])$",
    "description": 'bytes: a number with K, M, G or T, as "4K", "128M", "1.5G"; or "0"',
}


def schema_text() -> str:
    """The schema as text, keys sorted, with a newline at the end."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def json_schema() -> dict[str, Any]:
    """The schema of a scenario file as the loader takes it, ranges in braces included."""
    content = msgspec.json.schema(Scenario, schema_hook=_custom)
    definitions: dict[str, Any] = content["$defs"]
    for name, definition in definitions.items():
        _describe(name, definition)
    # The loader fills this in; a file does not have it.
    del definitions["Scenario"]["properties"]["origins"]
    _allow_ranges(definitions)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "thplab scenario",
        **content,
    }
    # Defaults that are tuples become lists, as in any reader's hands.
    decoded: dict[str, Any] = json.loads(json.dumps(whole))
    return decoded


def _custom(kind: type) -> dict[str, Any]:
    if kind is Size:
        return dict(_SIZE)
    raise NotImplementedError


def _describe(name: str, definition: dict[str, Any]) -> None:
    """Put the first paragraph of the struct's docstring into the definition, on one line."""
    struct = getattr(schema, name, None)
    text = inspect.getdoc(struct) if struct is not None else None
    if text:
        definition["description"] = re.sub(r"\s+", " ", text.split("\n\n")[0])


def _allow_ranges(definitions: dict[str, Any]) -> None:
    """A step for many nodes gives the node as a range in braces."""
    node_range = {"type": "string", "pattern": f"^{_RANGE}$"}
    for definition in definitions.values():
        properties = definition.get("properties", {})
        if "do" not in properties or "node" not in properties:
            continue
        node = properties["node"]
        default = {"default": node.pop("default")} if "default" in node else {}
        choices = node.get("anyOf", [node])
        properties["node"] = {"anyOf": [*choices, node_range], **default}
