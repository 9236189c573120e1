# SPDX-License-Identifier: GPL-2.0-only
"""What random scenarios on real kernels taught the model about faults, forks and migration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest

from tests.backends.scenes import GIB, HUGE
from thplab.backends import model
from thplab.scenario import schema
from thplab.scenario.observation import Observation, RegionFigures
from thplab.scenario.schema import Scenario, Size

FIRST = "first page of each huge page"
UPPER = "upper half of each huge page"


def seen(
    steps: Sequence[schema.AnyStep], traits: dict[str, bool] | None = None, size: int = HUGE
) -> Observation:
    """The model's observation after a region of task "t" was mapped and the steps were done."""
    mapped = schema.Map(task="t", region="r", size=Size(size), thp="hugepage", node=1)
    scenario = Scenario(
        name="traits",
        summary="a test",
        host=schema.Host(nodes=(GIB, GIB), thp=schema.Thp(shrink_underused=False)),
        cgroups={"/a": schema.Cgroup()},
        tasks={"t": schema.Task(cgroup="/a")},
        steps=(mapped, *steps, schema.Observe(label="end")),
    )
    return model.run(scenario, "list_lru", traits=traits).observations[-1]


def region(end: Observation) -> RegionFigures:
    """The region's figures."""
    return end.regions["t.r"]


def touch(
    part: str = "all", task: str = "t", write: Literal["data", "zeros"] = "data"
) -> schema.AnyStep:
    """A write to the region."""
    return schema.Touch(task=task, region="r", part=part, write=write)


def discard(part: str = "all", task: str = "t") -> schema.AnyStep:
    """Some of the region given back."""
    return schema.Discard(task=task, region="r", part=part)


def advise(advice: Literal["hugepage", "nohugepage"]) -> schema.AnyStep:
    """Huge pages for the region, or none."""
    return schema.Advise(task="t", region="r", advice=advice)


FORK = schema.Fork(task="t", child="c")
CHILD_EXITS = schema.Exit(task="c")


@pytest.mark.parametrize("pt_reclaim", [True, False])
def test_a_page_table_that_lost_its_entries_in_parts_keeps_huge_pages_out(
    pt_reclaim: bool,
) -> None:
    steps = [advise("nohugepage"), touch(FIRST), discard("lower half of each huge page")]
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
    page = "page 7 of each huge page"
    end = seen([touch(), FORK, touch(page, task="c"), touch(page)], {"reuse_large_folio": reuse})
    assert region(end).nodes[1].base == 1
    assert region(end).nodes[1].huge == 1


@pytest.mark.parametrize(("reuse", "base"), [(True, 0), (False, 1)])
def test_after_the_child_a_page_of_a_large_folio_is_kept_since_6_15(reuse: bool, base: int) -> None:
    steps = [touch(), FORK, CHILD_EXITS, discard(UPPER), touch(FIRST)]
    assert region(seen(steps, {"reuse_large_folio": reuse})).nodes[1].base == base


def test_a_huge_page_that_a_pmd_maps_is_kept_after_the_child() -> None:
    end = seen([touch(), FORK, CHILD_EXITS, touch(FIRST), discard(UPPER), touch(FIRST)])
    assert region(end).nodes[1].huge == 1
    assert region(end).nodes[1].base == 0


def test_migration_splits_what_waits_to_be_split() -> None:
    end = seen(
        [
            touch(FIRST),
            discard(UPPER),
            schema.MovePages(task="t", region="r", node=0),
        ],
        size=3 * HUGE,
    )
    assert [node.split for node in region(end).nodes] == [3, 0]
    assert [node.base for node in region(end).nodes] == [3, 0]
    assert region(end).zero == 3 * 255
    assert end.vmstat["thp_migration_split"] == 3
    assert end.vmstat["thp_migration_fail"] == 3
    assert [node.queue for node in end.cgroups["/a"]] == [0, 0]


def test_migration_moves_a_whole_huge_page_whole() -> None:
    end = seen([touch(), schema.MovePages(task="t", region="r", node=0)])
    assert [node.huge for node in region(end).nodes] == [1, 0]
    assert end.vmstat["thp_migration_success"] == 1


def test_zeros_over_data_leave_a_page_of_zeros() -> None:
    """So the split gives it the shared zero page."""
    steps = [
        touch(FIRST),
        discard(UPPER),
        touch(FIRST, write="zeros"),
        schema.Shrink(cgroup="/a", node=1, count=1),
    ]
    end = seen(steps)
    assert region(end).zero == 256
    assert region(end).nodes[1].base == 0


@pytest.mark.parametrize(("splits", "zero", "base"), [(True, 255, 1), (False, 0, 256)])
def test_before_6_12_a_split_leaves_pages_of_zeros_as_they_are(
    splits: bool, zero: int, base: int
) -> None:
    steps = [touch(FIRST), discard(UPPER), schema.Shrink(cgroup="/a", node=1, count=1)]
    end = region(seen(steps, {"splits_underused": splits}))
    assert (end.zero, end.nodes[1].base) == (zero, base)
