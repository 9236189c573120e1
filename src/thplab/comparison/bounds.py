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
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.pressure import Pressure

__all__ = ["Bounds", "free_memory_bounds", "verify_beside"]


class Bounds(NamedTuple):
    """By how many base pages a node may have less, or more, free memory than the scenario leaves it."""

    less: int
    more: int


def free_memory_bounds(scenario: Scenario, node: NodeFacts) -> Bounds:
    """What may come and go on a node beside the scenario's own memory.

    The lists of the CPUs and the memory of the processes (:data:`PROCESS` for each task and the agent) may
    grow or shrink; page tables only grow, one page for each huge page's range; what reclaim can free of files
    and slab only becomes free.
    """
    tasks = len(scenario.tasks) + sum(isinstance(step, Fork) for step in scenario.steps)
    either = node.pagesets + (tasks + 1) * PROCESS // int(PAGE_SIZE)
    mapped = sum(int(step.size) for step in scenario.steps if isinstance(step, Map))
    if any(isinstance(step, Pressure) for step in scenario.steps):
        mapped += node.managed * int(PAGE_SIZE)
    tables = mapped // int(PAGE_SIZE * HPAGE_PMD_NR) * (1 + tasks)
    return Bounds(either + tables, either + node.reclaimable)


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
    """All nodes with less, all with more, and each alone with less or more."""
    bounds = [free_memory_bounds(scenario, node) for node in facts.nodes]
    # What a task has of its own is charged to its cgroup, and goes with it when it ends.
    most = {
        path: max(bound.less for bound in bounds) + pages for path, pages in facts.charged.items()
    }
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
