# SPDX-License-Identifier: GPL-2.0-only
"""Whether khugepaged, awake, is left so much time at a time that it has nothing more to do.

How many passes a kernel makes depends on real time. But if each pass looks at all memory, and passes come
either many in a second or none in hours, then the scenario alone decides what khugepaged has done when a
wait ends: one pass more finds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from thplab.mm.geometry import PAGE_SIZE
from thplab.scenario.schema import Scenario
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.observe import Observe
from thplab.scenario.steps.set import Set
from thplab.scenario.steps.wait import Wait

__all__ = ["settles"]

_PAGES = "khugepaged/pages_to_scan"
_SLEEP = "khugepaged/scan_sleep_millisecs"
_SHORT, _LONG = 100, 10_000_000
"""Milliseconds: ten passes in each second that a step waits, or none in hours."""


def settles(scenario: Scenario) -> bool:
    """Whether that holds for each part of the scenario."""
    copies = 1 + sum(isinstance(step, Fork) for step in scenario.steps)
    mapped = sum(int(step.size) for step in scenario.steps if isinstance(step, Map)) // PAGE_SIZE
    if min(_values(scenario, _PAGES)) < mapped * copies:
        return False
    return all(value <= _SHORT or value >= _LONG for value in _values(scenario, _SLEEP)) and (
        _waits_before_each_other_step(scenario)
    )


def _values(scenario: Scenario, file: str) -> Iterable[int]:
    """The values that a file has in the scenario."""
    later = [step.value for step in scenario.steps if isinstance(step, Set) and step.file == file]
    return [int(value) for value in (scenario.host.thp[file], *later)]


def _waits_before_each_other_step(scenario: Scenario) -> bool:
    """Whether no other step comes while passes may be under way: a write to the sleep starts one too.

    An observation may come then, if a wait came before it, because later passes change nothing.
    """
    passing = short = int(scenario.host.thp[_SLEEP]) <= _SHORT
    waited = False
    for step in scenario.steps:
        if isinstance(step, Set) and step.file == _SLEEP:
            short = int(step.value) <= _SHORT
            passing, waited = True, False
        elif isinstance(step, Wait):
            passing, waited = short, True
        elif passing and not (waited and isinstance(step, Observe)):
            return False
    return True
