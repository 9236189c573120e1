# SPDX-License-Identifier: GPL-2.0-only
"""The scenario language as a JSON Schema, generated from the structs, for completion and checks in editors."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import msgspec

from thplab.scenario.host import Host, Task
from thplab.scenario.policies import Policy
from thplab.scenario.schema import Claim, Scenario
from thplab.scenario.steps import STEPS
from thplab.scenario.written import encode_hook, schema_hook

__all__ = ["json_schema", "schema_text"]

_RANGE = r"\{[0-9]{1,6}\.\.[0-9]{1,6}\}"
_KINDS: tuple[type[msgspec.Struct], ...] = (Scenario, Host, Task, Policy, Claim, *STEPS.values())
_STRUCTS = {kind.__name__: kind for kind in _KINDS}


def schema_text() -> str:
    """The schema as text, keys sorted, with a newline at the end."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"


def json_schema() -> dict[str, Any]:
    """The schema of the files that the loader accepts, ranges in braces included."""
    content = msgspec.json.schema(Scenario, schema_hook=schema_hook)
    definitions: dict[str, Any] = content["$defs"]
    for name, definition in definitions.items():
        _describe(name, definition)
    # The loader fills this in; a file cannot have it.
    del definitions["Scenario"]["properties"]["origins"]
    _allow_ranges(definitions)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "thplab scenario",
        **content,
    }
    # Defaults become the values that a file would have.
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole, enc_hook=encode_hook))
    return decoded


def _describe(name: str, definition: dict[str, Any]) -> None:
    """Put the first paragraph of the struct's docstring into the definition, on one line."""
    struct = _STRUCTS.get(name)
    text = inspect.getdoc(struct) if struct is not None else None
    if text:
        definition["description"] = re.sub(r"\s+", " ", text.split("\n\n")[0])


def _allow_ranges(definitions: dict[str, Any]) -> None:
    """Allow a range in braces where a step names a node."""
    node_range = {"type": "string", "pattern": f"^{_RANGE}$"}
    for definition in definitions.values():
        properties = definition.get("properties", {})
        if "do" not in properties or "node" not in properties:
            continue
        node = properties["node"]
        default = {"default": node.pop("default")} if "default" in node else {}
        choices = node.get("anyOf", [node])
        properties["node"] = {"anyOf": [*choices, node_range], **default}
