# SPDX-License-Identifier: GPL-2.0-only
"""How to compare a figure of one Run with the same figure of another: a rule for each figure.

Between two Runs of the model every figure is exact, because the model is deterministic. The rules apply
to the model against a kernel, and to one boot of a kernel against another. Each says why.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, NamedTuple

from thplab.mm.geometry import HPAGE_PMD_NR, HPAGE_PMD_SIZE
from thplab.scenario.figures import FigurePath
from thplab.scenario.observation import FIGURES
from thplab.scenario.rules import CHARGED, COUNTED, OF_PROCESSES, PROCESS, Rule, Unit

__all__ = ["DETERMINISTIC", "Judgement", "Passes", "judge", "rule_for"]

Judgement = Literal["equal", "within", "different", "incomparable", "unseen"]
"""unseen: one of the two is None, and None equals nothing."""


DETERMINISTIC = Rule("exact", "the model is deterministic")
"""The rule of every figure between Runs of the model."""

_SCANNED = Rule("incomparable", "how far free-running reclaim got: differs from boot to boot")
_HUGE_PAGE: dict[Unit, int] = {"bytes": HPAGE_PMD_SIZE, "pages": HPAGE_PMD_NR, "huge pages": 1}
_UNSTATED = Rule("incomparable", "no rule is stated for this counter")
_REBUILT = "khugepaged is awake: its passes made so many huge pages more on one side (khugepaged/pages_collapsed)"
_PASSES = (
    "khugepaged is awake, and steps take time on a kernel: so many huge pages fit into the passes of the "
    "time that one side took longer (scan_sleep_millisecs, pages_to_scan), and of one more"
)
_FIRST_VICTIM = (
    "memory.oom.group: a kernel counts the first victim again when it kills the whole cgroup, unless that "
    "task has given up its memory by then (oom_kill_process())"
)


class Passes(NamedTuple):
    """How far khugepaged, when awake, may have got further in one Run than in another.

    Attributes:
        possible: huge pages that it can make in the time that one Run took longer, and in one pass more.
        made: huge pages that it made more; where a Run does not say, those that are possible.
    """

    possible: int
    made: int


# Counters as patterns; the first that fits decides.
_COUNTERS: tuple[tuple[str, Rule], ...] = (
    ("vmstat.thp_*", COUNTED),
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
# With khugepaged awake these go first. None: within the huge pages that it made more.
_AWAKE_COUNTERS: tuple[tuple[str, Rule | None], ...] = (
    ("vmstat.thp_collapse_alloc_failed", _SCANNED),
    ("vmstat.thp_scan_exceed_*", _SCANNED),
    ("vmstat.thp_collapse_alloc", None),
    ("cgroups.thp_collapse_alloc", None),
    ("mthp.nr_anon*", None),
)


def rule_for(
    path: FigurePath,
    *,
    processes: int = 1,
    khugepaged: Passes | None = None,
    memory: int = 0,
    group_kills: int = 0,
) -> Rule:
    """The rule for a figure: its own (see :data:`FIGURES`), or that of a counter's pattern.

    Args:
        path: the figure.
        processes: how many tasks the scenario has: each has some memory of its own.
        khugepaged: None: it sleeps.
        memory: bytes of all nodes, which page tables may map.
        group_kills: how often all tasks of a cgroup were killed together.
    """
    if path.name in ("oom_kill", "events.oom_kill"):
        return _within(group_kills, _FIRST_VICTIM, COUNTED)
    figure = FIGURES.get(path.section, {}).get(path.name)
    if path.section == "khugepaged" and khugepaged:
        counts_rounds = path.name == "full_scans"
        return _SCANNED if counts_rounds else _within(khugepaged.possible, _PASSES, COUNTED)
    if figure is None or figure.unit == "events":
        name = f"{path.section}.{path.name}"
        for pattern, rule in _AWAKE_COUNTERS if khugepaged else ():
            if fnmatchcase(name, pattern):
                return rule or _within(khugepaged.made if khugepaged else 0, _REBUILT, COUNTED)
        if figure is not None:
            return figure.rule
        return next((rule for pattern, rule in _COUNTERS if fnmatchcase(name, pattern)), _UNSTATED)
    rebuilt = khugepaged.made * _HUGE_PAGE[figure.unit] if khugepaged and figure.rebuilt else 0
    if figure.rule is OF_PROCESSES:
        tolerance = OF_PROCESSES.tolerance + (processes + 1) * PROCESS + rebuilt
        return Rule("within", OF_PROCESSES.why, tolerance)
    if figure.rule is CHARGED:
        tolerance = CHARGED.tolerance + processes * PROCESS + memory // HPAGE_PMD_NR + rebuilt
        return Rule("within", CHARGED.why, tolerance)
    return _within(rebuilt, _REBUILT, figure.rule)


def _within(tolerance: int, why: str, otherwise: Rule) -> Rule:
    return Rule("within", why, tolerance) if tolerance else otherwise


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
