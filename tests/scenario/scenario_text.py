# SPDX-License-Identifier: GPL-2.0-only
"""Scenario texts for tests: a small one that is right, and steps to add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

HEAD = """
name = "test"
summary = "A scenario for tests."

[host]
nodes = ["1G", "1G"]

[cgroups]
"/victim" = {}
"/jobs/one" = {}

[tasks]
victim = { cgroup = "/victim" }
hog = { oom_score_adj = 1000 }
"""

FAR: dict[str, object] = {"do": "map", "task": "victim", "region": "far", "size": "128M", "node": 1}


def toml_value(value: object) -> str:
    """`value` as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, dict):
        pairs = ", ".join(
            f"{toml_value(key)} = {toml_value(inner)}" for key, inner in value.items()
        )
        return f"{{ {pairs} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml_value(inner) for inner in value)}]"
    return str(value)


def entry(name: str, table: Mapping[str, object]) -> str:
    """A table of an array: [[steps]] or [[claims]]."""
    lines = [f"{toml_value(key)} = {toml_value(value)}" for key, value in table.items()]
    return f"\n[[{name}]]\n" + "\n".join(lines) + "\n"


def scenario_text(
    *steps: Mapping[str, object], claims: Sequence[Mapping[str, object]] = (), head: str = HEAD
) -> str:
    """A whole scenario."""
    written = [entry("steps", step) for step in steps]
    written += [entry("claims", claim) for claim in claims]
    return head + "".join(written)
