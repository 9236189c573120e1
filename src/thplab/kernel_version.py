# SPDX-License-Identifier: GPL-2.0-only
"""Kernel versions as numbers."""

from __future__ import annotations

import re

__all__ = ["version_of"]


def version_of(name: str) -> tuple[int, int]:
    """The first two numbers of a release or of uname -r: "6.12.117-amd64" is (6, 12)."""
    match = re.match(r"(\d+)\.(\d+)", name)
    return (int(match[1]), int(match[2])) if match else (0, 0)
