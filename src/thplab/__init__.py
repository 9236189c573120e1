# SPDX-License-Identifier: GPL-2.0-only
"""thplab: an executable model of how Linux reclaims transparent huge pages, and a laboratory around it.

The front door for Python; docs/api.md shows it. Each name is imported when it is used.
"""

from __future__ import annotations

# As the one in typing, whose import would take most of the time that this one takes.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from thplab.api.entry import bugs, compare, explore, run, scenarios
    from thplab.api.machine import Machine
    from thplab.scenario.schema import Scenario

__version__ = "0.1.0"

__all__ = ["Machine", "Scenario", "bugs", "compare", "explore", "run", "scenarios"]

_HOMES = {
    "Machine": "thplab.api.machine",
    "Scenario": "thplab.scenario.schema",
    "bugs": "thplab.api.entry",
    "compare": "thplab.api.entry",
    "explore": "thplab.api.entry",
    "run": "thplab.api.entry",
    "scenarios": "thplab.api.entry",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module thplab has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_HOMES[name]), name)
    # Found without this function from here on. A room of the same name would hide it otherwise.
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
