# SPDX-License-Identifier: GPL-2.0-only
"""The reduced search finds what brute force finds: no outcome more, none less, at each bound."""

from __future__ import annotations

import pytest

from tests.explorer.enumerator import Program, enumerate_outcomes, random_program
from tests.explorer.primitives import explore
from thplab.explorer.core_reduce import Reduction
from thplab.explorer.core_step import Node

# What the programs are made of, CPUs, instructions for each at most, handlers.
FAMILIES = {
    "words": (("read", "add", "xchg"), 3, 3, 0),
    "plain": (("read", "plain", "xchg"), 2, 4, 0),
    "locks": (("read", "xchg", "lock", "lock"), 2, 7, 0),
    "three with locks": (("xchg", "lock", "lock"), 3, 3, 0),
    "trylock": (("try", "lock", "add", "xchg"), 2, 5, 0),
    "rcu": (("xchg", "rcu", "sync", "read"), 2, 6, 0),
    "rcu and locks": (("read", "rcu", "sync", "lock"), 3, 3, 0),
    "interrupts": (("add", "xchg", "irq", "lock"), 2, 3, 1),
    "bugs": (("add", "xchg", "expect", "lock"), 2, 6, 0),
}
PROGRAMS = 45
BOUNDS = (0, 1, 2, 3, None)
# Larger ones say nothing more, and take long by brute force.
MOST_SCHEDULES = 700


def programs(family: str, count: int) -> list[Program]:
    kinds, cpus, length, handlers = FAMILIES[family]
    found: list[Program] = []
    seed = 0
    while len(found) < count:
        program = random_program(seed, kinds, cpus, length, handlers)
        seed += 1
        if enumerate_outcomes(program, MOST_SCHEDULES) is not None:
            found.append(program)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reduced_search_has_the_outcomes_of_brute_force(family: str) -> None:
    for program in programs(family, PROGRAMS):
        expected = enumerate_outcomes(program, MOST_SCHEDULES)
        assert expected is not None
        for bound in BOUNDS:
            wanted = {
                outcome
                for outcome, preemptions in expected.items()
                if bound is None or preemptions <= bound
            }
            assert explore(program, bound)[0] == wanted, (bound, program)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_of_equivalent_executions_is_run(family: str) -> None:
    """Stronger than outcomes: two executions may differ in their order and end alike."""
    for program in programs(family, 15):
        if any(kind == "expect" for code in program.cpus for kind, _ in code):
            continue
        for bound in BOUNDS:
            reduced = explore(program, bound)[1]
            every = explore(program, bound, reduce=False)[1]
            assert reduced.traces == every.traces, (bound, program)
            assert reduced.executions <= every.executions


def test_the_reduction_reduces() -> None:
    private = Program(((("add", 0),) * 5, (("add", 1),) * 5))
    assert explore(private, None)[1].executions == 1
    shared = Program(((("xchg", 0),) * 3, (("xchg", 0),) * 3))
    assert len(explore(shared, None)[1].traces) == 20


def test_a_dropped_backtrack_point_is_noticed() -> None:
    """The agreement tests themselves: an explorer that forgets something must fail them."""

    class ForgetsBlockStarts(Reduction):
        def _block_start(self, step: int) -> int:
            return step

    class ForgetsReads(Reduction):
        def _try_before(self, step: int, number: int) -> None:
            node = self.nodes[step]
            if node.op != 1:
                super()._try_before(step, number)

    class SleepsTooWell(Reduction):
        def _no_dearer(self, node: Node, lane: object) -> bool:
            return True

    class AddsOnlyWhoIsAwake(Reduction):
        def _try_before(self, step: int, number: int) -> None:
            node = self.nodes[step]
            if node.enabled >> number & 1:
                node.backtrack |= 1 << number

    for mutant in (ForgetsBlockStarts, ForgetsReads, SleepsTooWell, AddsOnlyWhoIsAwake):
        assert any(
            explore(program, bound, engine=mutant)[0]
            != {
                outcome
                for outcome, preemptions in (
                    enumerate_outcomes(program, MOST_SCHEDULES) or {}
                ).items()
                if bound is None or preemptions <= bound
            }
            for family in ("words", "locks", "plain", "three with locks")
            for program in programs(family, PROGRAMS)
            for bound in BOUNDS
        ), mutant.__name__
