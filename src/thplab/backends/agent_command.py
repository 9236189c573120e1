# SPDX-License-Identifier: GPL-2.0-only
"""The command that starts the agent, with this Python and this thplab."""

from __future__ import annotations

import sys
from pathlib import Path

import thplab

__all__ = ["agent_command", "agent_environment"]


def agent_command(*options: str) -> list[str]:
    """The command line; it needs :func:`agent_environment`."""
    return [sys.executable, "-m", "thplab.agent", *options]


def agent_environment() -> dict[str, str]:
    """The environment variables that the agent needs."""
    return {
        "PYTHONPATH": str(Path(thplab.__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }
