# SPDX-License-Identifier: GPL-2.0-only
"""The model beside a kernel, with the nodes that the kernel had, and how far their free memory may be off.

The agent reads what is free when the scenario begins. What processes and the kernel itself take from then on
is not the scenario's doing, but it has bounds. If a figure comes out differently, the model runs with as
little and with as much free memory as the bounds allow, with each charge that the processes may have, and with
what else a kernel decides by its timing. A figure that is the same in each of these runs stays exact; another
one has a range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from thplab.backends import model
from thplab.comparison.verify import Verification, VerifiedFigure, refusals, verify
from thplab.mm.geometry import HPAGE_PMD_NR, PAGE_SIZE
from thplab.mm.vmstat import OOM_KILL
from thplab.scenario.figures import FigurePath, all_figures
from thplab.scenario.host_facts import HostFacts, NodeFacts
from thplab.scenario.observation import Run
from thplab.scenario.rules import (
    OF_CHARGES,
    OF_FREE_MEMORY,
    OF_MADVISE,
    OF_STOCK,
    OF_VICTIMS,
    PROCESS,
)
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.move_task import MoveTask
from thplab.scenario.steps.pressure import Pressure
from thplab.scenario.steps.reclaim import Reclaim
from thplab.scenario.steps.set import Set
from thplab.scenario.tunables import AWAKE

__all__ = ["Bounds", "free_memory_bounds", "most_charged", "verify_beside"]

_FEW_PAGES = 16
_MOST_KILLS = 4
CHARGE_BATCH = 64
"""Base pages that a CPU charges a cgroup in advance (MEMCG_CHARGE_BATCH)."""


class Bounds(NamedTuple):
    """By how many base pages a node may have less, or more, free memory than the scenario leaves it."""

    less: int
    more: int


def free_memory_bounds(scenario: Scenario, node: NodeFacts) -> Bounds:
    """What may come and go on a node beside the scenario's own memory.

    The lists of the CPUs and the memory of the processes (:data:`PROCESS` for each task and the agent) may
    grow or shrink; page tables only grow; what reclaim can free of files and slab only becomes free.
    """
    processes = len(scenario.tasks) + _count(scenario, Fork) + 1
    either = node.pagesets + processes * PROCESS // int(PAGE_SIZE)
    most = node.managed * _count(scenario, Pressure) // int(HPAGE_PMD_NR)
    return Bounds(either + _page_tables(scenario) + most, either + node.reclaimable)


def most_charged(scenario: Scenario, path: str, charged: int) -> int:
    """The base pages that the processes of a cgroup may be charged for: what they were when the scenario
    began, :data:`PROCESS` for each that is or may come to be there, page tables, and what each CPU is charged
    in advance.
    """
    there = sum(task.cgroup == path for task in scenario.tasks.values())
    there += _count(scenario, Fork)
    there += sum(isinstance(step, MoveTask) and step.cgroup == path for step in scenario.steps)
    in_advance = CHARGE_BATCH * max(2, len(scenario.host.nodes))
    own = there * PROCESS // int(PAGE_SIZE)
    return charged + own + _page_tables(scenario) + in_advance


def _count(scenario: Scenario, kind: type[Step]) -> int:
    return sum(isinstance(step, kind) for step in scenario.steps)


def _page_tables(scenario: Scenario) -> int:
    """The page tables of what the tasks map: one for each huge page's range, in each copy of the memory."""
    mapped = sum(int(step.size) for step in scenario.steps if isinstance(step, Map))
    return mapped // int(PAGE_SIZE * HPAGE_PMD_NR) * (1 + _count(scenario, Fork))


def verify_beside(scenario: Scenario, kernel_run: Run) -> Verification:
    """Compare a kernel with the model that has its release and its nodes.

    Each cause of a range has its turn, until no figure differs.
    """
    beside = model.run(scenario, release=kernel_run.release, facts=kernel_run.host)
    found = verify(scenario, beside, kernel_run)
    facts = kernel_run.host
    if facts is None or not (found.differences or found.refusals):
        return found
    ranges = _Ranges(scenario, kernel_run, beside)
    empty = msgspec.structs.replace(facts, stock_empty=True)
    limited = _has_limits(scenario)
    missing = msgspec.structs.replace(facts, misses_madvise=True)
    for why, variations in (
        (OF_VICTIMS, _second_victims(scenario, facts, beside, kernel_run)),
        (OF_MADVISE, [missing] if scenario.host.thp[AWAKE] else []),
        (OF_CHARGES, _charges(scenario, facts, ranges) if limited else []),
        (OF_STOCK, chain([empty], _charges(scenario, empty, ranges)) if limited else []),
        (OF_FREE_MEMORY, _free_memory(scenario, facts, ranges)),
    ):
        for varied in variations:
            ranges.add(varied)
            found = ranges.judge(found, why)
            if not (found.differences or found.refusals):
                return found
    return found


class _Ranges:
    """What the model shows with one amount of free memory and another.

    Args:
        scenario: what it runs.
        kernel_run: whose release it stands for.
        first: the first of the runs.

    Attributes:
        matter: some run shows something else than the first, beside the free memory itself.
    """

    def __init__(self, scenario: Scenario, kernel_run: Run, first: Run) -> None:
        self._scenario = scenario
        self._kernel_run = kernel_run
        self._lowest = _figures(first)
        self._highest = dict(self._lowest)
        self._refusals = set(refusals(first, kernel_run))
        self.matter = False

    def add(self, facts: HostFacts) -> None:
        """Run the model with these nodes too."""
        run = model.run(self._scenario, release=self._kernel_run.release, facts=facts)
        self._refusals &= refusals(run, self._kernel_run).keys()
        seen = _figures(run)
        self.matter = self.matter or seen.keys() != self._lowest.keys()
        # A figure that one run has and another has not, because a task was killed in one, has no range.
        for where in self._lowest.keys() - seen.keys():
            del self._lowest[where]
        for where, lowest in self._lowest.items():
            value = seen[where]
            if not lowest <= value <= self._highest[where]:
                self._lowest[where] = min(lowest, value)
                self._highest[where] = max(self._highest[where], value)
                self.matter = True

    def judge(self, found: Verification, why: str) -> Verification:
        """The same Verification, with the figures that differ held against their ranges, which `why` explains."""
        kept = {self._scenario.where(step) for step in self._refusals}
        return msgspec.structs.replace(
            found,
            figures=tuple(
                msgspec.structs.replace(one, judgement="within", why=why)
                if one.judgement == "different" and self._within(one)
                else one
                for one in found.figures
            ),
            refusals=tuple(one for one in found.refusals if one.partition(":")[0] in kept),
        )

    def _within(self, one: VerifiedFigure) -> bool:
        lowest = self._lowest.get((one.moment, one.figure))
        if lowest is None or one.kernel is None:
            return False
        highest = self._highest[one.moment, one.figure]
        return lowest < highest and (
            lowest - one.tolerance <= one.kernel <= highest + one.tolerance
        )


def _figures(run: Run) -> dict[tuple[str, FigurePath], int]:
    """What a run shows, apart from free memory, which the facts themselves say."""
    return {
        (seen.label, path): value
        for seen in run.observations
        for path, value in all_figures(seen)
        if value is not None and (path.section, path.name) != ("nodes", "free")
    }


def _beside(found: Iterator[HostFacts]) -> Iterator[HostFacts]:
    """Each with and without what may happen beside the steps: the kernel does it by its own clock."""
    for facts in found:
        for ticks in (None, 0):
            for reclaims in (False, True):
                yield msgspec.structs.replace(facts, ticks=ticks, reclaims=reclaims)


def _charges(scenario: Scenario, facts: HostFacts, ranges: _Ranges) -> Iterator[HostFacts]:
    """Each charge that the processes may have, in all cgroups and then in one alone, in large steps; in small ones
    if these matter.
    """
    moved = (step.cgroup for step in scenario.steps if isinstance(step, MoveTask))
    paths = sorted({*facts.charged, *moved} - {"/"})
    most = {path: most_charged(scenario, path, facts.charged.get(path, 0)) for path in paths}
    for step in (CHARGE_BATCH, _FEW_PAGES):
        for changed in [paths, *([path] for path in paths if len(paths) > 1)]:
            for pages in range(0, max((most[path] for path in changed), default=0), step):
                charged = {path: min(pages, most[path]) for path in changed}
                yield msgspec.structs.replace(facts, charged=facts.charged | charged)
        if not ranges.matter:
            return


def _has_limits(scenario: Scenario) -> bool:
    """Whether some cgroup has a limit or protection, or is asked to give memory back."""
    return any(tuple(one.chosen()) for one in scenario.cgroups.values()) or any(
        isinstance(step, Set | Reclaim) and step.cgroup is not None for step in scenario.steps
    )


def _second_victims(
    scenario: Scenario, facts: HostFacts, beside: Run, kernel_run: Run
) -> Iterator[HostFacts]:
    """Where the kernel killed more tasks: each choice of the kills after which it took a second one."""
    killed, killed_there = (
        sum(one.vmstat.get(OOM_KILL.name) or 0 for one in run.observations[-1:])
        for run in (beside, kernel_run)
    )
    if killed >= killed_there:
        return
    most = {path: most_charged(scenario, path, pages) for path, pages in facts.charged.items()}
    for charged in (facts.charged, most):
        for chosen in range(1, 1 << min(killed, _MOST_KILLS)):
            yield msgspec.structs.replace(facts, charged=charged, second_victims=chosen)


def _free_memory(scenario: Scenario, facts: HostFacts, ranges: _Ranges) -> Iterator[HostFacts]:
    """The corners; if these differ, the values between too, because a huge page fits or not by what is left when
    the others have been taken.
    """
    yield from _beside(_corners(scenario, facts))
    if ranges.matter:
        yield from _beside(_between(scenario, facts))
        yield from _later(scenario, facts)


def _later(scenario: Scenario, facts: HostFacts) -> Iterator[HostFacts]:
    """What a CPU gives back at one step or another. It has one huge page, or none, by what there was at first."""
    bounds = [free_memory_bounds(scenario, node) for node in facts.nodes]
    two = 2 * int(HPAGE_PMD_NR)
    for change in range(-two // 2, two // 2, two // 8):
        changes = [min(max(change, -bound.less), bound.more) for bound in bounds]
        for step in range(1, len(scenario.steps)):
            changed = _changed(scenario, facts, changes, [0] * len(bounds), least=change < 0)
            yield msgspec.structs.replace(changed, ticks=step)


def _corners(scenario: Scenario, facts: HostFacts) -> Iterator[HostFacts]:
    """The nodes as they are, all with less, all with more, and each alone with less or more."""
    bounds = [free_memory_bounds(scenario, node) for node in facts.nodes]
    every = range(len(bounds))
    yield facts
    for chosen in [every, *([nid] for nid in every if len(bounds) > 1)]:
        for least in (True, False):
            changes = [
                (-bound.less if least else bound.more) if nid in chosen else 0
                for nid, bound in enumerate(bounds)
            ]
            yield _changed(scenario, facts, changes, changes, least=least)


def _between(scenario: Scenario, facts: HostFacts) -> Iterator[HostFacts]:
    """All nodes with every amount within the bounds, in steps of a quarter of a huge page; with as much as
    there was between the low and the min watermark, and with less.
    """
    bounds = [free_memory_bounds(scenario, node) for node in facts.nodes]
    none = [0] * len(bounds)
    less, more = [-bound.less for bound in bounds], [bound.more for bound in bounds]
    step = int(HPAGE_PMD_NR) // 4
    for change in range(min(less), max(more), step):
        changes = [
            min(max(change, lowest), highest) for lowest, highest in zip(less, more, strict=True)
        ]
        for above_min in (none, less):
            yield _changed(scenario, facts, changes, above_min, least=change < 0)


def _changed(
    scenario: Scenario,
    facts: HostFacts,
    free: Sequence[int],
    above_min: Sequence[int],
    *,
    least: bool,
) -> HostFacts:
    """The facts with other figures of the nodes. With the least free memory the processes of each cgroup are
    charged for the most, otherwise for nothing, because what a task has goes when it ends.
    """
    most = {path: most_charged(scenario, path, pages) for path, pages in facts.charged.items()}
    return msgspec.structs.replace(
        facts,
        nodes=tuple(
            node.with_more_free(*change)
            for node, *change in zip(facts.nodes, free, above_min, strict=True)
        ),
        charged=most if least else {},
    )
