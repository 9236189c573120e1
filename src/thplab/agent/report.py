# SPDX-License-Identifier: GPL-2.0-only
"""What the agent leaves in its work directory, each file written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from thplab.releases.release import Release
from thplab.scenario.written import decode_hook, encode_hook

__all__ = ["KernelFacts", "WorkDirectory"]

_T = TypeVar("_T")


class KernelFacts(msgspec.Struct, kw_only=True):
    """What the agent found out about the kernel it runs on."""

    kernel: str
    """uname -r."""
    release: Release
    how: str
    """By which evidence the design was told."""
    nodes: int


class WorkDirectory:
    """The directory by which the agent and whoever started it talk.

    Args:
        path: it exists already; in a guest it is the one writable directory of the host.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scenarios = path / "scenarios.json"
        self.facts = path / "facts.json"
        self.failure = path / "failure.txt"
        self.journal = path / "tunables.json"
        self.done = path / "done"

    def marks(self) -> int:
        """How many files the agent has left here: it grows while the agent gets on."""
        return sum(1 for _ in self.path.iterdir())

    def run(self, index: int) -> Path:
        """The file of the Run of the scenario with this place in the batch."""
        return self.path / f"run-{index:04}.json"

    def write(self, path: Path, value: object) -> None:
        """Write a file as JSON, atomically."""
        draft = path.with_name(f".{path.name}")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(value, enc_hook=encode_hook))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def read(self, path: Path, kind: type[_T]) -> _T | None:
        """Read a file, or None if it was never written."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind, dec_hook=decode_hook)
        except FileNotFoundError:
            return None
