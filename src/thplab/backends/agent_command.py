# SPDX-License-Identifier: GPL-2.0-only
"""The command that starts the agent, with this Python and this thplab."""

from __future__ import annotations

import sys
from pathlib import Path

import thplab
from thplab.backends.guest import GUEST_WORK

__all__ = ["agent_command", "agent_environment", "guest_command"]


def agent_command(*options: str) -> list[str]:
    """The command line; it needs :func:`agent_environment`."""
    return [sys.executable, "-m", "thplab.agent", *options]


def guest_command(module: str = "thplab.agent") -> list[str]:
    """The command line for a guest: the agent, or another of its modules that works in a directory."""
    environment = [f"{name}={value}" for name, value in agent_environment().items()]
    return ["env", *environment, sys.executable, "-m", module, "--work", GUEST_WORK]


def agent_environment() -> dict[str, str]:
    """The environment variables that the agent needs."""
    return {
        "PYTHONPATH": str(Path(thplab.__file__).parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }
