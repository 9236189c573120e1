# SPDX-License-Identifier: GPL-2.0-only
"""Runs of the model, with a progress bar where they take long and somebody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from thplab import designs
from thplab.backends import model
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Watched", "chosen_designs", "model_runs"]

PATIENCE_SECONDS = 1.0
"""A run that is over by then shows no progress."""


def chosen_designs(wanted: Sequence[str]) -> list[str]:
    """The designs that a command line names, each once; "all" is each that is installed.

    Raises:
        DesignError: there is no such design.
    """
    names: dict[str, None] = {}
    for name in wanted:
        names.update(dict.fromkeys(designs.names() if name == "all" else [name]))
    for name in names:
        designs.load(name)
    return list(names)


def model_runs(scenario: Scenario, wanted: Sequence[str]) -> list[Run]:
    """Run the scenario on the model, once for each design."""
    runs = []
    for design in chosen_designs(wanted):
        with Watched(design) as watched:
            runs.append(model.run(scenario, design, progress=watched))
    return runs


class Watched:
    """Called with each step; shows a bar on a terminal's standard error when it takes long."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.begun = time.monotonic()
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, done: int, total: int) -> None:
        if self.bar is None:
            if time.monotonic() - self.begun < PATIENCE_SECONDS or not sys.stderr.isatty():
                return
            self._start()
        assert self.bar is not None
        assert self.task is not None
        self.bar.update(self.task, completed=done, total=total)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self.bar = Progress(console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task(self.title)
        self.bar.start()
