# SPDX-License-Identifier: GPL-2.0-only
"""A search in a file: where it stands, so that it can go on another day.

What is kept is the stack of the depth-first search, a line of masks for each step, and what has been
counted. The executions themselves are made again from it.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mypy_extensions import i64

from thplab.errors import InputError
from thplab.explorer.core_check import Case
from thplab.explorer.core_reduce import Reduction
from thplab.explorer.core_search import Tally
from thplab.explorer.core_step import Node
from thplab.explorer.fingerprint import fingerprint

__all__ = ["Progress", "load", "pack", "save", "unpack"]

VERSION = 1
_FIELDS = ("lane", "sleep", "backtrack", "done", "stays", "frees")


@dataclass
class Progress:
    """How far an exhaustive search has come.

    Attributes:
        bound: the bound under way. fault: how many of its allocation failures are done, -1 before them.
        allocations: allocation points by lane.
        stack: the planned steps of the next execution; None: it is the first of its engine.
        pruned: the bound has left something out.
        executions, steps, cut, by_bound: so far.
    """

    bound: int = 0
    fault: int = -1
    allocations: dict[int, int] = field(default_factory=dict)
    stack: list[list[int]] | None = None
    pruned: bool = False
    executions: int = 0
    steps: int = 0
    cut: int = 0
    by_bound: dict[int, int] = field(default_factory=dict)

    def resume(self, tally: Tally) -> None:
        """Have the tally go on from here."""
        tally.executions, tally.steps, tally.cut = self.executions, self.steps, self.cut
        tally.pruned, tally.allocations = self.pruned, self.allocations

    def note(self, tally: Tally, engine: Reduction) -> None:
        """Come as far as the tally and the engine have."""
        self.executions, self.steps, self.cut = (
            int(tally.executions),
            int(tally.steps),
            int(tally.cut),
        )
        self.pruned, self.allocations = tally.pruned, tally.allocations
        self.stack = pack(engine) or None


def pack(engine: Reduction) -> list[list[int]]:
    """The planned steps of an engine."""
    return [
        [int(getattr(engine.nodes[step], name)) for name in _FIELDS]
        for step in range(int(engine.planned))
    ]


def unpack(engine: Reduction, stack: list[list[int]]) -> None:
    """Have the engine go on from these steps."""
    nodes: list[Node] = []
    for row in stack:
        node = Node(len(engine.lanes))
        for name, value in zip(_FIELDS, row, strict=True):
            setattr(node, name, i64(value))
        nodes.append(node)
    engine.nodes = nodes
    engine.planned = len(nodes)
    engine.known = 0


def save(path: str, case: Case, limit: int | None, progress: Progress) -> None:
    """Write the file, whole or not at all."""
    content = {
        "case": case.name,
        "design": case.design_name,
        "limit": limit,
        "fingerprint": fingerprint(case),
        "progress": asdict(progress),
    }
    body = json.dumps(content, separators=(",", ":"))
    text = json.dumps({"version": VERSION, "check": zlib.crc32(body.encode()), "search": body})
    target = Path(path)
    fresh = target.with_name(target.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(target)


def load(path: str, case: Case, limit: int | None) -> Progress | None:
    """What the file says; None if there is no file.

    Raises:
        InputError: it is damaged, or of another search, or of another version.
    """
    file = Path(path)
    if not file.exists():
        return None
    try:
        outer: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        version, check, body = outer["version"], outer["check"], outer["search"]
        intact = zlib.crc32(body.encode()) == check
        content: dict[str, Any] = json.loads(body) if intact else {}
        kept: dict[str, Any] = content["progress"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: this is no intact checkpoint ({error}); remove it to begin anew"
        ) from error
    if version != VERSION:
        raise InputError(f"{path}: a checkpoint of version {version}, this is version {VERSION}")
    wanted = (case.name, case.design_name, limit)
    if (content["case"], content["design"], content["limit"]) != wanted:
        raise InputError(
            f"{path}: the checkpoint is of case {content['case']} on {content['design']} up to "
            f"{content['limit']} preemptions, not of {wanted[0]} on {wanted[1]} up to {wanted[2]}"
        )
    if content["fingerprint"] != fingerprint(case):
        raise InputError(
            f"{path}: the checkpoint is of another version: the case does something else here"
        )
    for name in ("allocations", "by_bound"):
        kept[name] = {int(key): value for key, value in kept[name].items()}
    return Progress(**kept)
