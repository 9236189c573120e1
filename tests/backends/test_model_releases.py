# SPDX-License-Identifier: GPL-2.0-only
"""What random scenarios on real kernels taught the model about faults, forks and migration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from tests.backends.scenes import GIB, HUGE
from tests.scenario.scenario_text import scenario_text
from thplab.backends import model
from thplab.cli import main
from thplab.comparison.comparison import compare
from thplab.releases.named import release_named
from thplab.scenario.figures import all_figures, why_unseen
from thplab.scenario.host import Host, Task
from thplab.scenario.loader import loads
from thplab.scenario.observation import Observation, RegionFigures
from thplab.scenario.parts import Part
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps.advise import Advise
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.exit import Exit
from thplab.scenario.steps.fork import Fork
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.move_pages import MovePages
from thplab.scenario.steps.observe import Observe
from thplab.scenario.steps.shrink import Shrink
from thplab.scenario.steps.touch import Touch
from thplab.scenario.tunables import CgroupSettings, ThpSettings
from thplab.scenario.units import Size

FIRST = Part.parse("first page of each huge page")
UPPER = Part.parse("upper half of each huge page")
NEWEST = release_named("7.3")


def seen(
    steps: Sequence[Step],
    found: dict[str, bool] | None = None,
    size: int = HUGE,
    shrink_underused: bool = False,
) -> Observation:
    """The model's observation after a region of task "t" was mapped and the steps were done."""
    mapped = Map(task="t", region="r", size=Size(size), thp="hugepage", node=1)
    scenario = Scenario(
        name="releases",
        summary="a test",
        host=Host(nodes=(GIB, GIB), thp=ThpSettings({"shrink_underused": shrink_underused})),
        cgroups={"/a": CgroupSettings()},
        tasks={"t": Task(cgroup="/a")},
        steps=(mapped, *steps, Observe(label="end")),
    )
    return model.run(scenario, release=NEWEST.differing(**(found or {}))).observations[-1]


def region(end: Observation) -> RegionFigures:
    """The region's figures."""
    return end.regions["t.r"]


def touch(
    part: Part | None = None, task: str = "t", write: Literal["data", "zeros"] = "data"
) -> Step:
    """A write to the region."""
    return Touch(task=task, region="r", part=part, write=write)


def discard(part: Part | None = None, task: str = "t") -> Step:
    """Some of the region given back."""
    return Discard(task=task, region="r", part=part)


def advise(advice: Literal["hugepage", "nohugepage"]) -> Step:
    """Huge pages for the region, or none."""
    return Advise(task="t", region="r", advice=advice)


FORK = Fork(task="t", child="c")
CHILD_EXITS = Exit(task="c")


@pytest.mark.parametrize("pt_reclaim", [True, False])
def test_a_page_table_that_lost_its_entries_in_parts_keeps_huge_pages_out(
    pt_reclaim: bool,
) -> None:
    steps = [
        advise("nohugepage"),
        touch(FIRST),
        discard(Part.parse("lower half of each huge page")),
    ]
    end = seen([*steps, advise("hugepage"), touch(FIRST)], {"pt_reclaim": pt_reclaim})
    assert region(end).nodes[1].huge == 0
    assert region(end).nodes[1].base == 1


@pytest.mark.parametrize(("pt_reclaim", "huge"), [(True, 1), (False, 0)])
def test_an_empty_page_table_goes_with_the_whole_range_since_6_14(
    pt_reclaim: bool, huge: int
) -> None:
    steps = [advise("nohugepage"), touch(FIRST), discard(), advise("hugepage"), touch(FIRST)]
    assert region(seen(steps, {"pt_reclaim": pt_reclaim})).nodes[1].huge == huge


def test_a_huge_page_given_back_whole_leaves_no_page_table() -> None:
    end = seen([touch(), discard(), touch(FIRST)], {"pt_reclaim": False})
    assert region(end).nodes[1].huge == 1


@pytest.mark.parametrize("reuse", [True, False])
def test_a_write_copies_while_the_child_maps_any_page_of_the_folio(reuse: bool) -> None:
    """The child has copied page 7 for itself, so the parent alone maps the old one; it is copied too."""
    page = Part.parse("page 7 of each huge page")
    end = seen([touch(), FORK, touch(page, task="c"), touch(page)], {"reuse_large_folio": reuse})
    assert region(end).nodes[1].base == 1
    assert region(end).nodes[1].huge == 1


@pytest.mark.parametrize(("reuse", "base"), [(True, 0), (False, 1)])
def test_after_the_child_a_page_of_a_large_folio_is_kept_since_6_15(reuse: bool, base: int) -> None:
    steps = [touch(), FORK, CHILD_EXITS, discard(UPPER), touch(FIRST)]
    assert region(seen(steps, {"reuse_large_folio": reuse})).nodes[1].base == base


def test_the_last_mapped_page_of_a_large_folio_is_copied_so_that_the_folio_goes() -> None:
    """Fuzz number 36 of seed 21 on 7.3 found it."""
    rest = Part.parse("all but the first page of each huge page")
    end = seen([touch(), FORK, CHILD_EXITS, discard(rest), touch(FIRST)])
    assert region(end).nodes[1].huge == 0
    assert region(end).nodes[1].base == 1


def test_a_huge_page_that_a_pmd_maps_is_kept_after_the_child() -> None:
    end = seen([touch(), FORK, CHILD_EXITS, touch(FIRST), discard(UPPER), touch(FIRST)])
    assert region(end).nodes[1].huge == 1
    assert region(end).nodes[1].base == 0


def test_migration_splits_what_waits_to_be_split() -> None:
    end = seen(
        [
            touch(FIRST),
            discard(UPPER),
            MovePages(task="t", region="r", node=0),
        ],
        size=3 * HUGE,
    )
    assert [node.split for node in region(end).nodes] == [3, 0]
    assert [node.base for node in region(end).nodes] == [3, 0]
    assert region(end).zero == 3 * 255
    assert end.vmstat["thp_migration_split"] == 3
    assert end.vmstat["thp_migration_fail"] == 3
    assert [node.queue for node in end.cgroups["/a"]] == [0, 0]


def test_before_6_12_migration_moves_a_partly_mapped_huge_page_whole() -> None:
    steps = [touch(FIRST), discard(UPPER), MovePages(task="t", region="r", node=0)]
    end = seen(steps, {"migration_splits_queued": False})
    assert [node.huge for node in region(end).nodes] == [1, 0]
    assert end.vmstat["thp_migration_split"] == 0


@pytest.mark.parametrize(("keeps", "queued"), [(True, [1, 0]), (False, [0, 0])])
def test_before_6_12_a_huge_page_that_moves_leaves_the_queue(
    keeps: bool, queued: list[int]
) -> None:
    """The folio is whole, and waits because it may be underused."""
    steps = [touch(), MovePages(task="t", region="r", node=0)]
    end = seen(steps, {"migration_keeps_queued": keeps}, shrink_underused=True)
    assert [node.huge for node in region(end).nodes] == [1, 0]
    assert [node.queue for node in end.cgroups["/a"]] == queued


def test_migration_moves_a_whole_huge_page_whole() -> None:
    end = seen([touch(), MovePages(task="t", region="r", node=0)])
    assert [node.huge for node in region(end).nodes] == [1, 0]
    assert end.vmstat["thp_migration_success"] == 1


def test_zeros_over_data_leave_a_page_of_zeros() -> None:
    """So the split gives it the shared zero page."""
    steps = [
        touch(FIRST),
        discard(UPPER),
        touch(FIRST, write="zeros"),
        Shrink(cgroup="/a", node=1, count=1),
    ]
    end = seen(steps)
    assert region(end).zero == 256
    assert region(end).nodes[1].base == 0


@pytest.mark.parametrize(("splits", "zero", "base"), [(True, 255, 1), (False, 0, 256)])
def test_before_6_12_a_split_leaves_pages_of_zeros_as_they_are(
    splits: bool, zero: int, base: int
) -> None:
    steps = [touch(FIRST), discard(UPPER), Shrink(cgroup="/a", node=1, count=1)]
    end = region(seen(steps, {"splits_underused": splits}))
    assert (end.zero, end.nodes[1].base) == (zero, base)


def scanning(**expected: str) -> str:
    """A scenario with a step that Linux 5.4 cannot do, and claims about splits before and after it."""
    return scenario_text(
        {"do": "observe", "label": "before"},
        {"do": "shrink", "cgroup": "/victim", "node": 1, "count": 1},
        {"do": "observe", "label": "after"},
        claims=[
            {"at": label, "value": "vmstat.thp_split_page", "expect": expect}
            for label, expect in expected.items()
        ],
    )


def test_a_release_without_the_interface_of_a_step_does_not_do_it_and_says_so() -> None:
    """Linux 5.4 has no debugfs file of the shrinker; what was seen before the step stands."""
    scenario = loads(scanning(before="== 0", after="== 0"))
    run = model.run(scenario, release=release_named("5.4"))
    (outcome,) = run.outcomes
    assert not outcome.done
    assert outcome.text == "not done: Linux 5.4 lacks the scan file of shrinkers; 6.0 brought it"
    column = compare(scenario, [run]).columns[0]
    assert [claim.verdict for claim in column.claims] == ["held", "unseen"]
    assert column.claims[1].reason == f"an earlier step was {outcome.text}"
    assert model.run(scenario, release=release_named("6.1")).outcomes == []


@pytest.mark.parametrize(
    ("release", "cgroup", "node"),
    [("5.4", False, False), ("6.12", True, False), ("6.18", True, True)],
)
def test_a_release_reclaims_only_through_files_that_it_has(
    release: str, cgroup: bool, node: bool
) -> None:
    """memory.reclaim came with 5.19, the reclaim file of a node with 6.17."""
    for place, has in (({"cgroup": "/victim"}, cgroup), ({"node": 0}, node)):
        scenario = loads(scenario_text({"do": "reclaim", "size": "1M", **place}))
        (outcome,) = model.run(scenario, release=release_named(release)).outcomes
        assert outcome.done == has, outcome.text


def test_what_a_release_cannot_do_breaks_no_promise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A claim that fails does, whether or not the release lacks something too."""
    file = tmp_path / "scan.toml"
    file.write_text(scanning(after="== 0"), encoding="utf-8")
    assert main(["compare", str(file), "--release", "5.4"]) == 0
    shown = capsys.readouterr().out
    assert "? unseen" in shown
    assert "Linux 5.4 lacks the scan file of shrinkers" in shown
    file.write_text(scanning(before="== 1", after="== 0"), encoding="utf-8")
    assert main(["compare", str(file), "--release", "5.4"]) == 1


def test_each_figure_after_a_step_that_was_not_done_gives_that_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The table prints it once for them all."""
    text = scanning(before="== 0")
    (after,) = model.run(loads(text), release=release_named("5.4")).observations[1:]
    figures = [path for path, _ in all_figures(after)]
    assert {path.section for path in figures} >= {"cgroups", "nodes"}
    for path in figures:
        assert why_unseen(after, path).startswith("an earlier step was not done"), path
    file = tmp_path / "scan.toml"
    file.write_text(text, encoding="utf-8")
    assert main(["compare", str(file), "--all", "--release", "5.4", "--release", "7.3"]) == 0
    assert capsys.readouterr().out.count("an earlier step was not done") == 1
