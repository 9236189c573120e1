# SPDX-License-Identifier: GPL-2.0-only
"""How to compare a figure of one Run with the same figure of another: a rule for each figure.

Between two Runs of the model every figure is exact, because the model is deterministic. The rules apply
to the model against a kernel, and to one boot of a kernel against another. Each says why.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from thplab.mm.geometry import HPAGE_PMD_NR, HPAGE_PMD_SIZE
from thplab.scenario.figures import FigurePath
from thplab.scenario.observation import FIGURES
from thplab.scenario.rules import COUNTED, OF_PROCESSES, PROCESS, Rule, Unit

__all__ = ["DETERMINISTIC", "Judgement", "judge", "rule_for"]

Judgement = Literal["equal", "within", "different", "incomparable", "unseen"]
"""unseen: one of the two is None, and None equals nothing."""


DETERMINISTIC = Rule("exact", "the model is deterministic")
"""The rule of every figure between Runs of the model."""

_SCANNED = Rule("incomparable", "how far free-running reclaim got: differs from boot to boot")
_UNSTATED = Rule("incomparable", "no rule is stated for this counter")
_REBUILT = (
    "khugepaged is awake: it rebuilds up to 8 huge pages in a pass (pages_to_scan 4096), and one pass "
    "more or less fits into the time that a kernel takes"
)

# Counters as patterns; the first that fits decides.
_COUNTERS: tuple[tuple[str, Rule], ...] = (
    ("vmstat.thp_*", COUNTED),
    ("vmstat.oom_kill", COUNTED),
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
    ("mthp.*", COUNTED),
)
# With khugepaged awake these go first.
_AWAKE_COUNTERS: tuple[tuple[str, Rule], ...] = (
    ("vmstat.thp_collapse_*", Rule("incomparable", _REBUILT)),
    ("mthp.nr_anon*", Rule("within", _REBUILT, 8)),
)
_EIGHT_HUGE_PAGES: dict[Unit, int] = {
    "bytes": 8 * HPAGE_PMD_SIZE,
    "pages": 8 * HPAGE_PMD_NR,
    "huge pages": 8,
}


def rule_for(path: FigurePath, *, processes: int = 1, khugepaged_awake: bool = False) -> Rule:
    """The rule for a figure: its own (see :data:`FIGURES`), or that of a counter's pattern.

    Args:
        path: the figure.
        processes: how many tasks the scenario has: each has some memory of its own.
        khugepaged_awake: the scenario has khugepaged awake.
    """
    figure = FIGURES.get(path.section, {}).get(path.name)
    if figure is None:
        name = f"{path.section}.{path.name}"
        for pattern, rule in (*_AWAKE_COUNTERS, *_COUNTERS) if khugepaged_awake else _COUNTERS:
            if fnmatchcase(name, pattern):
                return rule
        return _UNSTATED
    rebuilt = _EIGHT_HUGE_PAGES[figure.unit] if khugepaged_awake and figure.rebuilt else 0
    if figure.rule is OF_PROCESSES:
        tolerance = OF_PROCESSES.tolerance + (processes + 1) * PROCESS + rebuilt
        return Rule("within", OF_PROCESSES.why, tolerance)
    return Rule("within", _REBUILT, rebuilt) if rebuilt else figure.rule


def judge(rule: Rule, one: int | None, other: int | None) -> Judgement:
    """Compare two values of a figure by its rule."""
    if one is None or other is None:
        return "unseen"
    if rule.kind == "incomparable":
        return "incomparable"
    if one == other:
        return "equal"
    if rule.kind == "within" and abs(one - other) <= rule.tolerance:
        return "within"
    return "different"
