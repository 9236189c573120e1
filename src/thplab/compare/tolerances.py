# SPDX-License-Identifier: GPL-2.0-only
"""How a figure of one Run may be held against the same figure of another: a rule for each figure.

Between two designs of the model every figure is exact, as the model is deterministic. The rules are
for the model against a kernel, or one boot of a kernel against another. Each says why.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from thplab.scenario.parts import HPAGE_PMD_NR, HPAGE_PMD_SIZE

__all__ = ["DETERMINISTIC", "Judgement", "Rule", "judge", "rule_for"]

Judgement = Literal["equal", "within", "different", "incomparable", "unseen"]
"""unseen: one of the two is None, and None equals nothing."""


class Rule(msgspec.Struct, frozen=True):
    """A rule, and the reason for it.

    exact: equal or different. within: may differ by `tolerance`, in the figure's own unit.
    incomparable: says nothing.
    """

    kind: Literal["exact", "within", "incomparable"]
    why: str
    tolerance: int = 0


DETERMINISTIC = Rule("exact", "the model is deterministic")
"""The rule of every figure between designs of the model."""

_EXACT = Rule("exact", "the steps alone decide it")
_COUNTED = Rule("exact", "counts events that the steps alone decide")
_OWN_MEMORY = Rule("incomparable", "a kernel and its services use memory of their own")
_PROCESS = 2 << 20
"""Bytes that a task has beside what it maps for the scenario: an interpreter's. The agent has them too."""
_LAG = 1 << 20
"""Bytes that statistics lag behind: 64 pages for each CPU."""
_OWN_MEMORY_OF_TASKS = (
    "the tasks and the agent are processes, with up to 2M of their own; statistics lag by 1M"
)
_SCANNED = Rule("incomparable", "how far free-running reclaim got: differs from boot to boot")
_UNSTATED = Rule("incomparable", "no rule is stated for this counter")
_REBUILT = (
    "khugepaged is awake: it rebuilds up to 8 huge pages in a pass (pages_to_scan 4096), and one pass "
    "more or less fits into the time that a kernel takes"
)

# Sections and figures as patterns; the first that fits decides.
_RULES: tuple[tuple[str, Rule], ...] = (
    ("nodes.free", _OWN_MEMORY),
    ("cgroups.huge", _EXACT),
    ("cgroups.queue", _EXACT),
    ("regions.*", _EXACT),
    ("vmstat.thp_*", _COUNTED),
    ("vmstat.oom_kill", _COUNTED),
    ("vmstat.pgscan*", _SCANNED),
    ("vmstat.pgsteal*", _SCANNED),
    ("vmstat.pgrefill*", _SCANNED),
    ("vmstat.pgactivate", _SCANNED),
    ("vmstat.pgdeactivate", _SCANNED),
    ("vmstat.allocstall*", _SCANNED),
    ("vmstat.slabs_scanned", _SCANNED),
    ("vmstat.kswapd_*", _SCANNED),
    ("vmstat.pageoutrun", _SCANNED),
    ("vmstat.drop_*", _SCANNED),
    ("vmstat.compact_*", _SCANNED),
    ("vmstat.*", _UNSTATED),
    ("mthp.*", _COUNTED),
)

# Where processes show what is not the scenario's.
_WITH_PROCESSES = ("nodes.anon", "nodes.huge", "cgroups.anon")

# What khugepaged changes when it is awake, with the unit of eight huge pages in the figure's own.
_AWAKE: tuple[tuple[str, Rule], ...] = (
    ("regions.huge", Rule("within", _REBUILT, 8)),
    ("regions.split", Rule("within", _REBUILT, 8)),
    ("regions.base", Rule("within", _REBUILT, 8 * HPAGE_PMD_NR)),
    ("regions.absent", Rule("within", _REBUILT, 8 * HPAGE_PMD_NR)),
    ("regions.zero", Rule("within", _REBUILT, 8 * HPAGE_PMD_NR)),
    ("cgroups.huge", Rule("within", _REBUILT, 8 * HPAGE_PMD_SIZE)),
    ("cgroups.queue", Rule("within", _REBUILT, 8)),
    ("vmstat.thp_collapse_*", Rule("incomparable", _REBUILT)),
    ("mthp.nr_anon*", Rule("within", _REBUILT, 8)),
)


def rule_for(
    section: str, name: str, *, processes: int = 1, khugepaged_awake: bool = False
) -> Rule:
    """The rule for a figure.

    Args:
        section: "nodes", "cgroups", "regions", "vmstat" or "mthp".
        name: the figure: "queue", "thp_split_page".
        processes: how many tasks the scenario has: each has some memory of its own.
        khugepaged_awake: the scenario has khugepaged awake.
    """
    figure = f"{section}.{name}"
    if figure in _WITH_PROCESSES:
        rebuilt = 8 * HPAGE_PMD_SIZE if khugepaged_awake else 0
        return Rule("within", _OWN_MEMORY_OF_TASKS, (processes + 1) * _PROCESS + _LAG + rebuilt)
    for pattern, rule in (*_AWAKE, *_RULES) if khugepaged_awake else _RULES:
        if fnmatchcase(figure, pattern):
            return rule
    return _UNSTATED


def judge(rule: Rule, one: int | None, other: int | None) -> Judgement:
    """Hold two values of a figure against each other by its rule."""
    if one is None or other is None:
        return "unseen"
    if rule.kind == "incomparable":
        return "incomparable"
    if one == other:
        return "equal"
    if rule.kind == "within" and abs(one - other) <= rule.tolerance:
        return "within"
    return "different"
