# SPDX-License-Identifier: GPL-2.0-only
"""Runs of a scenario on the model, for the command line and for Python alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from thplab import designs
from thplab.backends import model
from thplab.designs import Design
from thplab.releases.named import NAMES, check_design, release_named
from thplab.releases.release import Release
from thplab.scenario.host_facts import HostFacts
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

__all__ = ["DEFAULT_RELEASES", "Progress", "model_beside", "model_runs"]

Progress = Callable[[int, int], None]

_T = TypeVar("_T")

DEFAULT_RELEASES = ("6.12", "7.3")
"""Before and after the change of the deferred split queue to list_lru."""


def model_runs(
    scenario: Scenario,
    releases: Sequence[str | Release] = (),
    wanted: Sequence[Design] = (),
    default: Sequence[str] = DEFAULT_RELEASES,
    watched: Callable[[str], AbstractContextManager[Progress | None]] | None = None,
    facts: HostFacts | None = None,
) -> list[Run]:
    """Run the scenario on the model, as each release and on each design.

    Args:
        scenario: what happens.
        releases: by name, or "all"; or a Release.
        wanted: designs that replace the releases' own; "all" stands for all that are installed.
        default: the releases if both are empty.
        watched: takes the title of a run, and returns the function that the run calls at each step.
        facts: what the nodes of a kernel had, which the model then starts with.

    Raises:
        InputError: there is no such release or design, or the release cannot have the design.
    """
    chosen = _each_once(releases or (() if wanted else default), NAMES)
    as_releases: list[Release | None] = [
        one if isinstance(one, Release) else release_named(one) for one in chosen
    ]
    on = _each_once(wanted, designs.names() if "all" in wanted else ())
    pairs: list[tuple[Release | None, Design]] = [
        (release, design) for release in (as_releases or [None]) for design in (on or [""])
    ]
    for release, design in pairs:
        if design:
            designs.load(design)
            if release is not None:
                check_design(release, design)
    runs = []
    for release, design in pairs:
        parts = (release.name if release else "", designs.title(design))
        title = " ".join(part for part in parts if part)
        with watched(title) if watched is not None else nullcontext() as progress:
            runs.append(
                model.run(scenario, design, release=release, progress=progress, facts=facts)
            )
    return runs


def model_beside(scenario: Scenario, kernel: Run, runs: Sequence[Run]) -> list[Run]:
    """The model of a kernel's own release, with the nodes that the kernel had, unless one of the runs is that
    already, or the design is unknown.
    """
    known = kernel.release.design in designs.names()
    if not known or any(
        run.release == kernel.release and run.host == kernel.host
        for run in runs
        if run.backend == "model"
    ):
        return []
    return [model.run(scenario, release=kernel.release, facts=kernel.host)]


def _each_once(names: Sequence[_T], every: Sequence[str]) -> list[_T | str]:
    """The names, each once; "all" stands for all of `every`."""
    chosen: dict[_T | str, None] = {}
    for name in names:
        chosen.update(dict.fromkeys(every if name == "all" else [name]))
    return list(chosen)
