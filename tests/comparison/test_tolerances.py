# SPDX-License-Identifier: GPL-2.0-only
"""The rule of each figure between the model and a kernel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thplab.comparison.tolerances import Passes, judge, rule_for
from thplab.mm.vmstat import counters
from thplab.scenario.figures import FigurePath
from thplab.scenario.observation import FIGURES
from thplab.scenario.rules import Rule

EXACT = Rule("exact", "")
WITHIN = Rule("within", "", 8)
INCOMPARABLE = Rule("incomparable", "")


def rule_of(
    section: str, name: str, *, processes: int = 1, khugepaged: Passes | None = None
) -> Rule:
    """The rule of a figure, wherever it is."""
    path = FigurePath(section, "", None, name)
    return rule_for(path, processes=processes, khugepaged=khugepaged)


@pytest.mark.parametrize(
    ("section", "name", "kind"),
    [
        ("cgroups", "queue", "exact"),
        ("regions", "huge", "exact"),
        ("regions", "swapped", "exact"),
        ("vmstat", "thp_split_page", "exact"),
        ("vmstat", "oom_kill", "exact"),
        ("mthp", "split_deferred", "exact"),
        ("cgroups", "anon", "within"),
        ("nodes", "anon", "within"),
        ("nodes", "free", "incomparable"),
        ("cgroups", "current", "within"),
        ("cgroups", "peak", "within"),
        ("cgroups", "anon_thp", "exact"),
        ("cgroups", "thp_fault_alloc", "exact"),
        ("cgroups", "events.oom_kill", "exact"),
        ("cgroups", "events.oom_group_kill", "exact"),
        ("cgroups", "events.high", "incomparable"),
        ("cgroups", "events.low", "incomparable"),
        ("vmstat", "slabs_scanned", "incomparable"),
        ("vmstat", "pgscan_kswapd", "incomparable"),
        ("vmstat", "pgscan_direct", "incomparable"),
        ("vmstat", "allocstall_normal", "incomparable"),
        ("vmstat", "some_new_counter", "incomparable"),
    ],
)
def test_a_figure_has_its_rule(section: str, name: str, kind: str) -> None:
    assert rule_of(section, name).kind == kind


def test_every_figure_has_a_rule_with_a_reason() -> None:
    figures = [(section, name) for section, names in FIGURES.items() for name in names]
    figures += [(kind, counter.name) for kind, counter in counters()]
    for section, name in figures:
        rule = rule_of(section, name)
        assert rule.why
        assert (rule.tolerance > 0) == (rule.kind == "within")
        assert "no rule is stated" not in rule.why or section == "vmstat"


def test_each_task_is_a_process_with_some_memory_of_its_own() -> None:
    few, many = (rule_of("cgroups", "anon", processes=count) for count in (1, 5))
    assert few.tolerance == 5 << 20
    assert many.tolerance - few.tolerance == 8 << 20
    assert rule_of("cgroups", "huge", processes=5).kind == "exact"


def test_what_is_charged_has_page_tables_too_and_no_agent() -> None:
    path = FigurePath("cgroups", "/job", None, "current")
    assert rule_for(path, processes=2).tolerance == (1 + 2 * 2) << 20
    assert rule_for(path, processes=2, memory=2 << 30).tolerance == (1 + 2 * 2 + 4) << 20
    awake = rule_for(path, processes=2, khugepaged=Passes(possible=32, made=8))
    assert awake.tolerance == (1 + 2 * 2 + 16) << 20
    assert rule_of("cgroups", "thp_collapse_alloc").kind == "exact"
    assert (
        rule_of("cgroups", "thp_collapse_alloc", khugepaged=Passes(possible=32, made=8)).tolerance
        == 8
    )
    assert (
        rule_of("cgroups", "thp_fault_alloc", khugepaged=Passes(possible=32, made=8)).kind
        == "exact"
    )


def test_khugepaged_awake_moves_what_it_made_more_and_nothing_else() -> None:
    passes = Passes(possible=32, made=8)
    assert rule_of("regions", "huge", khugepaged=passes) == rule_of(
        "regions", "split", khugepaged=passes
    )
    assert rule_of("regions", "huge", khugepaged=passes).tolerance == 8
    assert rule_of("vmstat", "thp_split_page", khugepaged=passes).kind == "exact"
    assert rule_of("cgroups", "anon", khugepaged=passes).tolerance == (5 + 16) << 20
    assert rule_of("regions", "zero", khugepaged=passes).tolerance == 8 * 512
    assert rule_of("vmstat", "thp_collapse_alloc", khugepaged=passes).tolerance == 8
    assert rule_of("mthp", "nr_anon", khugepaged=passes).tolerance == 8


def test_khugepaged_awake_that_made_as_many_leaves_every_figure_exact() -> None:
    passes = Passes(possible=32, made=0)
    for section, name in (("regions", "huge"), ("mthp", "nr_anon"), ("vmstat", "thp_split_page")):
        assert rule_of(section, name, khugepaged=passes).kind == "exact"


def test_the_counters_of_khugepaged_are_exact_while_it_sleeps() -> None:
    passes = Passes(possible=32, made=8)
    assert rule_of("khugepaged", "pages_collapsed").kind == "exact"
    assert rule_of("khugepaged", "pages_collapsed", khugepaged=passes).tolerance == 32
    assert rule_of("khugepaged", "full_scans", khugepaged=passes).kind == "incomparable"


@pytest.mark.parametrize(
    ("rule", "one", "other", "judgement"),
    [
        (EXACT, 64, 64, "equal"),
        (EXACT, 64, 63, "different"),
        (WITHIN, 64, 64, "equal"),
        (WITHIN, 64, 56, "within"),
        (WITHIN, 64, 55, "different"),
        (INCOMPARABLE, 64, 64, "incomparable"),
        (EXACT, None, None, "unseen"),
        (INCOMPARABLE, None, 3, "unseen"),
        (EXACT, 0, None, "unseen"),
    ],
)
def test_two_values_are_judged_by_the_rule(
    rule: Rule, one: int | None, other: int | None, judgement: str
) -> None:
    assert judge(rule, one, other) == judgement


@given(
    st.sampled_from([EXACT, WITHIN, INCOMPARABLE]),
    st.none() | st.integers(0, 100),
    st.none() | st.integers(0, 100),
)
def test_judging_does_not_depend_on_who_is_first(
    rule: Rule, one: int | None, other: int | None
) -> None:
    assert judge(rule, one, other) == judge(rule, other, one)
