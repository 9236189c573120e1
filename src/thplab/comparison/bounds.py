# SPDX-License-Identifier: GPL-2.0-only
"""The model beside a kernel, with the nodes that the kernel had, and how far their free memory may be off.

The agent reads what is free when the scenario begins. What processes and the kernel itself take from then on
is not the scenario's doing, but it has bounds. If a figure comes out differently, the model runs with as
little and with as much free memory as the bounds allow. A figure that is the same in each of these runs
stays exact; another one has a range.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from thplab.backends import model
from thplab.comparison.verify import Verification, verify
from thplab.mm.geometry import HPAGE_PMD_NR, PAGE_SIZE
from thplab.scenario.host_facts import HostFacts, NodeFacts
from thplab.scenario.observation import Run
from thplab.scenario.rules import PROCESS
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.move_task import MoveTask
from thplab.scenario.steps.pressure import Pressure

__all__ = ["Bounds", "free_memory_bounds", "most_charged", "verify_beside"]

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
    """Compare a kernel with the model that has its release and its nodes."""
    beside = model.run(scenario, release=kernel_run.release, facts=kernel_run.host)
    first = verify(scenario, beside, kernel_run)
    if kernel_run.host is None or not first.differences:
        return first
    runs = [
        model.run(scenario, release=kernel_run.release, facts=facts)
        for facts in _at_the_bounds(scenario, kernel_run.host)
    ]
    # A run in which another task was killed has other observations; the rows are those that all have.
    return verify(scenario, beside, kernel_run, runs)


def _at_the_bounds(scenario: Scenario, facts: HostFacts) -> list[HostFacts]:
    """All nodes with less, all with more, and each alone with less or more. Where a node has less, the processes
    of each cgroup are charged for the most, elsewhere for nothing, because what a task has goes when it ends.
    """
    bounds = [free_memory_bounds(scenario, node) for node in facts.nodes]
    most = {path: most_charged(scenario, path, pages) for path, pages in facts.charged.items()}
    changes = [[-bound.less for bound in bounds], [bound.more for bound in bounds]]
    if len(bounds) > 1:
        for nid, bound in enumerate(bounds):
            for alone in (-bound.less, bound.more):
                changes.append([alone if other == nid else 0 for other in range(len(bounds))])
    return [
        msgspec.structs.replace(
            facts,
            nodes=tuple(
                node.with_more_free(pages, pages)
                for node, pages in zip(facts.nodes, change, strict=True)
            ),
            charged=most if min(change) < 0 else {},
        )
        for change in changes
    ]
