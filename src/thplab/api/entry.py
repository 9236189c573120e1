# SPDX-License-Identifier: GPL-2.0-only
"""What `import thplab` offers: compare and run scenarios, explore cases, find bugs again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from thplab.api.results import Result, RunResult
from thplab.api.runs import DEFAULT_RELEASES, model_beside, model_runs
from thplab.designs import Design
from thplab.releases.release import Release
from thplab.scenario.host_facts import HostFacts, load_host_facts
from thplab.scenario.library import find_scenario, library_files
from thplab.scenario.loader import load
from thplab.scenario.naming import meant, quoted
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

if TYPE_CHECKING:
    from thplab.explorer.session import CaseVerdict

__all__ = ["bugs", "compare", "explore", "run", "scenarios"]

_T = TypeVar("_T")


def compare(
    scenario: str | Path | Scenario,
    releases: str | Release | list[str | Release] | tuple[str | Release, ...] = (),
    designs: Design | list[Design] | tuple[Design, ...] = (),
    kernels: str | list[str] | tuple[str, ...] = (),
    host_from: str | Path = "",
) -> Result:
    """Run a scenario as several releases, on several designs, on real kernels, and compare the runs.

    Args:
        scenario: the name of one of the library, a file, or a Scenario.
        releases: one or several, by name; by default 6.12 and 7.3. "all" stands for all that thplab knows.
        designs: for developers: names, "file.py:Class", or classes, instead of the releases' own.
        kernels: images to boot, or "debian:6.12".
        host_from: a result as JSON: the model gets the nodes that the kernel in it had.

    Raises:
        InputError, ScenarioError, DesignError: the message says what would be right.
    """
    found = _scenario(scenario)
    runs = model_runs(found, _several(releases), _several(designs), facts=_facts(found, host_from))
    for image in _several(kernels):
        kernel = _on_kernel(found, image)
        runs.extend([*model_beside(found, kernel, runs), kernel])
    return Result(found, runs)


def run(
    scenario: str | Path | Scenario,
    release: str | Release = "",
    design: Design = "",
    kernel: str = "",
    host_from: str | Path = "",
) -> RunResult:
    """Run a scenario once: as a release (by default the newest), on a design, or on a real kernel.

    With `host_from` the model gets the nodes that a kernel had, from a result as JSON.
    """
    found = _scenario(scenario)
    if kernel:
        return RunResult(found, [_on_kernel(found, kernel)])
    releases = [release] if release else []
    designs = [design] if design else []
    facts = _facts(found, host_from)
    return RunResult(
        found, model_runs(found, releases, designs, DEFAULT_RELEASES[-1:], facts=facts)
    )


def _facts(scenario: Scenario, host_from: str | Path) -> HostFacts | None:
    return load_host_facts(host_from, scenario.name) if host_from else None


def _several(given: _T | list[_T] | tuple[_T, ...]) -> list[_T]:
    """One thing or several, as a list."""
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _scenario(scenario: str | Path | Scenario) -> Scenario:
    return scenario if isinstance(scenario, Scenario) else find_scenario(str(scenario))


def _on_kernel(scenario: Scenario, image: str) -> Run:
    from thplab.backends import vm

    return vm.run(scenario, image)


def explore(
    case: str,
    design: Design = "",
    *,
    bound: int = 2,
    strategy: str = "exhaustive",
    executions: int = 0,
    seconds: float = 0.0,
    seed: int = 0,
    jobs: int = 1,
) -> CaseVerdict:
    """Search the interleavings of a case on a design.

    Args:
        case: a standard case (`thplab explore --list`), or a bug: "B06", "B06-fixed".
        design: a name, "file.py:Class", or a class; by default list_lru. A bug has its own.
        bound: at most this many preemptions (exhaustive).
        strategy: "exhaustive", "random" or "pct".
        executions, seconds: stop there; 0 is no limit.
        seed: of the random strategies.
        jobs: the number of processes that share the work (exhaustive).

    Raises:
        InputError: there is no such case, a bug is given a design, or the package greenlet is missing.
    """
    from thplab.explorer import session

    session.require_greenlet()
    return session.search(
        case,
        design,
        bound=bound,
        strategy=strategy,
        executions=executions,
        seconds=seconds,
        seed=seed,
        jobs=jobs,
    )


def bugs(*numbers: str) -> dict[str, CaseVerdict]:
    """Find the historical bugs again; return, by number, the verdict on the code with the bug.

    Args:
        numbers: "B06"; none: all of them.
    """
    from thplab.explorer.corpus import CORPUS

    return {number: explore(number) for number in numbers or [bug.id for bug in CORPUS]}


class Library(Mapping[str, Scenario]):
    """The scenarios that come with thplab, by name: `thplab.scenarios["cover-letter"]`."""

    def __getitem__(self, name: str) -> Scenario:
        for file in library_files():
            if file.stem == name:
                return load(file)
        raise KeyError(
            f"there is no scenario {quoted(name)}; {meant(name, list(self), 'scenarios')}"
        )

    def __iter__(self) -> Iterator[str]:
        return iter([file.stem for file in library_files()])

    def __len__(self) -> int:
        return len(library_files())

    def __repr__(self) -> str:
        width = max(map(len, self))
        return "\n".join(f"{name:{width}}  {one.summary}" for name, one in self.items())

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><td>{escape(name)}</td><td>{escape(one.summary)}</td></tr>"
            for name, one in self.items()
        )
        return f"<table>{''.join(rows)}</table>"


scenarios = Library()
