# SPDX-License-Identifier: GPL-2.0-only
"""Runs side by side: which figures differ, which are quiet, and by which rule."""

from __future__ import annotations

import copy

import pytest

from tests.report.handmade import cover_letter_run, cover_letter_scenario
from thplab.comparison.comparison import Comparison, compare
from thplab.comparison.rows import Row
from thplab.comparison.tolerances import judge
from thplab.releases.release import Release
from thplab.report.json_text import comparison_json
from thplab.report.terminal import comparison_text
from thplab.scenario.observation import (
    FIGURES,
    CgroupEvents,
    CgroupFigures,
    CgroupMemory,
    NodeFigures,
    RegionFigures,
    RegionNode,
    Run,
)


def compared(*runs: Run) -> Comparison:
    """The runs on the cover letter's scenario."""
    return compare(cover_letter_scenario(), runs)


def row(comparison: Comparison, label: str, path: str) -> Row:
    """One figure of one observation."""
    moment = next(moment for moment in comparison.moments if moment.label == label)
    return next(row for row in moment.rows if str(row.path) == path)


@pytest.fixture
def old_and_new() -> Comparison:
    """The old design beside the new."""
    return compared(cover_letter_run("split_queue"), cover_letter_run("list_lru"))


def test_a_figure_has_a_value_for_each_column(old_and_new: Comparison) -> None:
    huge = row(old_and_new, "after", "regions.victim.far[1].huge")
    assert huge.values == (0, 64)
    assert huge.unit == "huge pages"
    assert huge.differs
    assert not huge.quiet


def test_a_figure_that_is_the_same_does_not_differ(old_and_new: Comparison) -> None:
    split = row(old_and_new, "after", "regions.victim.near[0].split")
    assert split.values == (1, 1)
    assert not split.differs


def test_a_figure_that_is_zero_everywhere_is_quiet(old_and_new: Comparison) -> None:
    assert row(old_and_new, "after", "cgroups./hog[0].queue").quiet


def test_every_figure_of_the_observation_is_a_row(old_and_new: Comparison) -> None:
    rows = old_and_new.moments[0].rows
    nodes, cgroups, regions, counters = 2, 2, 2, 5
    assert len(rows) == (
        nodes * len(FIGURES["nodes"])
        + cgroups * nodes * len(CgroupFigures.__struct_fields__)
        + regions * (nodes * 3 + 3)
        + counters
        + len(FIGURES["khugepaged"])
    )
    assert len({row.path for row in rows}) == len(rows)


def test_every_field_of_an_observation_is_a_figure() -> None:
    assert tuple(FIGURES["nodes"]) == NodeFigures.__struct_fields__
    assert set(FIGURES["cgroups"]) == {
        *CgroupFigures.__struct_fields__,
        *(set(CgroupMemory.__struct_fields__) - {"events"}),
        *(f"events.{name}" for name in CgroupEvents.__struct_fields__),
    }
    assert set(FIGURES["regions"]) == {
        *RegionNode.__struct_fields__,
        *(set(RegionFigures.__struct_fields__) - {"nodes"}),
    }


def test_none_equals_nothing_not_even_none() -> None:
    one, other = cover_letter_run("list_lru"), cover_letter_run("list_lru")
    one.observations[1].cgroups["/victim"][1].queue = None
    one.observations[1].missing = {"cgroups.queue": "no debugfs"}
    queue = row(compared(one, other), "after", "cgroups./victim[1].queue")
    assert queue.values == (None, 64)
    assert queue.reasons == ("no debugfs", "")
    assert queue.differs


def test_what_no_column_saw_does_not_differ() -> None:
    runs = [cover_letter_run("list_lru") for _ in range(2)]
    for run in runs:
        run.observations[1].vmstat["oom_kill"] = None
    oom = row(compared(*runs), "after", "vmstat.oom_kill")
    assert oom.values == (None, None)
    assert not oom.differs
    assert oom.quiet


def test_an_observation_that_was_not_taken_is_unseen() -> None:
    stopped = cover_letter_run("split_queue")
    del stopped.observations[1]
    comparison = compared(stopped, cover_letter_run("list_lru"))
    assert row(comparison, "after", "vmstat.thp_split_page").values == (None, 1)
    assert comparison.columns[0].claims[0].verdict == "unseen"


def test_a_counter_of_one_column_only_is_unseen_in_the_others() -> None:
    kernel = cover_letter_run("list_lru", backend="kernel", title="6.12")
    kernel.observations[1].vmstat["pgfault"] = 12345
    comparison = compared(cover_letter_run("list_lru"), kernel)
    assert row(comparison, "after", "vmstat.pgfault").values == (None, 12345)


def test_between_designs_of_the_model_everything_is_exact(old_and_new: Comparison) -> None:
    kinds = {row.rule.kind for moment in old_and_new.moments for row in moment.rows}
    assert kinds == {"exact"}


def test_beside_a_kernel_free_memory_is_not_comparable() -> None:
    kernel = cover_letter_run("list_lru", backend="kernel", title="6.12")
    kernel.observations[1].nodes[0].free = 1
    kernel.observations[1].regions["victim.far"].nodes[1].huge = 63
    comparison = compared(cover_letter_run("list_lru"), kernel)
    assert row(comparison, "after", "nodes[0].free").rule.kind == "incomparable"
    assert not row(comparison, "after", "nodes[0].free").differs
    assert row(comparison, "after", "regions.victim.far[1].huge").differs


@pytest.mark.parametrize(("kernel", "judgement"), [(3, "within"), (4, "different")])
def test_a_kernel_may_count_the_first_victim_of_a_group_again(kernel: int, judgement: str) -> None:
    model_run = cover_letter_run("list_lru")
    kernel_run = cover_letter_run("list_lru", backend="vm")
    for run, kills in ((model_run, 2), (kernel_run, kernel)):
        events = CgroupEvents(oom_kill=kills, oom_group_kill=1)
        run.observations[0].memory["/hog"] = CgroupMemory(events=events)
        run.observations[0].vmstat["oom_kill"] = kills
    found = compared(model_run, kernel_run)
    for path in ("cgroups./hog.events.oom_kill", "vmstat.oom_kill"):
        it = row(found, found.moments[0].label, path)
        assert judge(it.rule, *it.values) == judgement


def test_a_failed_claim_breaks_the_comparison() -> None:
    liar = cover_letter_run("list_lru")
    liar.release = Release.of_version("7.1", "split_queue")
    assert compared(liar).broken
    assert not compared(cover_letter_run("list_lru")).broken


def test_a_warning_breaks_the_comparison() -> None:
    run = cover_letter_run("list_lru")
    run.warnings.append("WARNING: suspicious RCU usage")
    assert compared(run).broken


@pytest.mark.parametrize(("backend", "broken"), [("model", True), ("kernel", False)])
def test_the_model_must_see_what_a_claim_asks(backend: str, broken: bool) -> None:
    run = cover_letter_run("list_lru", backend=backend)
    run.observations[1].vmstat["thp_split_page"] = None
    assert compared(run).broken is broken


def test_what_a_release_has_no_interface_for_may_go_unseen() -> None:
    run = cover_letter_run("list_lru")
    run.observations[1].vmstat["thp_split_page"] = None
    run.observations[1].missing["vmstat.thp_split_page"] = "Linux 5.4 does not count this"
    assert not compared(run).broken


def test_a_run_stays_as_it_was_handed_over() -> None:
    runs = [cover_letter_run("split_queue"), cover_letter_run("list_lru", backend="kernel")]
    before = copy.deepcopy(runs)
    comparison = compared(*runs)
    assert runs == before
    comparison_text(comparison, everything=True)
    comparison_json(comparison)
    assert runs == before
