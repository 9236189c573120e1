# SPDX-License-Identifier: GPL-2.0-only
"""The base of every error that thplab explains to its user."""

from __future__ import annotations

__all__ = ["DesignError", "InputError", "ThplabError"]


class ThplabError(Exception):
    """The base of every error that thplab explains; `exit_status` is what the command ends with."""

    exit_status = 2


class InputError(ThplabError):
    """A file, an option or an environment that cannot be used as it is."""


class DesignError(InputError):
    """A design that cannot be loaded, lacks a method, or raised while the model called it."""
