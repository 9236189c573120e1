# SPDX-License-Identifier: GPL-2.0-only
"""Small tests of one primitive: all outcomes of two or three CPUs, and nothing but those."""

from __future__ import annotations

from collections.abc import Callable

from thplab.explorer.core_check import Case, World
from thplab.explorer.core_reduce import NO_BOUND, Reduction
from thplab.explorer.core_search import Limits, Tally, search

__all__ = ["Litmus", "outcomes"]


class Litmus(World):
    """Memory and lanes of one litmus test: a subclass has `lanes` and `seen`."""

    def __init__(self) -> None:
        self.lanes: list[Callable[[], None]] = []
        self.result: Callable[[], object] = lambda: None

    def programs(self) -> list[Callable[[], None]]:
        return self.lanes

    def state(self) -> object:
        return self.result()


class _LitmusCase(Case):
    def __init__(self, make: Callable[[], Litmus], cpus: int, handlers: list[int]) -> None:
        super().__init__("litmus", cpus)
        self.make = make
        self.handlers = handlers
        self.max_steps = 400

    def build(self) -> World:
        return self.make()


def outcomes(
    make: Callable[[], Litmus], cpus: int = 2, handlers: tuple[int, ...] = ()
) -> set[object]:
    """Every final state over all schedules; a failure is its error's type and text."""
    case = _LitmusCase(make, cpus, list(handlers))
    engine = Reduction(case, [], NO_BOUND)
    tally = Tally(collect=True, every=True)
    search(engine, case, Limits(20_000), tally)
    engine.close()
    assert tally.exhausted
    found: set[object] = set(tally.states)
    found |= {(type(failure.error).__name__, failure.text()) for failure in tally.failures}
    return found
