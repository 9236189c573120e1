# SPDX-License-Identifier: GPL-2.0-only
"""The files that the agent writes to its work directory, each whole or not at all."""

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
    """What the agent found out about the kernel that it runs on."""

    kernel: str
    """uname -r."""
    release: Release
    how: str
    """The evidence for the design."""
    nodes: int


class WorkDirectory:
    """The directory through which the agent talks with the process that started it.

    Args:
        path: an existing directory; in a guest, the only directory of the host that it can write to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.scenarios = path / "scenarios.json"
        self.facts = path / "facts.json"
        self.failure = path / "failure.txt"
        self.journal = path / "tunables.json"
        self.done = path / "done"
        self.request = path / "request.json"
        self.sight = path / "sight.json"

    def marks(self) -> int:
        """How many files the agent has written here, which shows its progress."""
        return sum(1 for _ in self.path.iterdir())

    def run(self, index: int) -> Path:
        """The file for the Run of the scenario at this place in the batch."""
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
        """Read a file; None if it does not exist."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind, dec_hook=decode_hook)
        except FileNotFoundError:
            return None
