# SPDX-License-Identifier: GPL-2.0-only
"""The model as a backend: what becomes of a scenario."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.scenario.scenario_text import FAR, HEAD, scenario_text
from thplab import designs
from thplab.backends import model
from thplab.errors import DesignError
from thplab.scenario.library import library_files
from thplab.scenario.loader import load, loads
from thplab.scenario.observation import Observation, Run

Step = dict[str, object]
LOOK: Step = {"do": "observe", "label": "end"}
TOUCH: Step = {"do": "touch", "task": "victim", "region": "far"}
HALVE: Step = {
    "do": "discard",
    "task": "victim",
    "region": "far",
    "part": "upper half of each huge page",
}
BASE: Step = {**FAR, "size": "4M", "thp": "nohugepage"}
SMALL: Step = {**FAR, "size": "4M"}


def on(region: str = "far", **rest: object) -> Step:
    """A step on a region of the victim."""
    return {"task": "victim", "region": region, **rest}


def run(*steps: Step, design: str = "list_lru", head: str = HEAD) -> Run:
    """The steps, with a look at the end."""
    return model.run(loads(scenario_text(*steps, LOOK, head=head)), design)


def end(*steps: Step, design: str = "list_lru", head: str = HEAD) -> Observation:
    """What is seen at the end."""
    return run(*steps, design=design, head=head).observations[-1]


def texts(found: Run) -> list[str]:
    """What the steps said."""
    return [outcome.text for outcome in found.outcomes]


# Steps


def test_map_touch_discard_unmap() -> None:
    region = end(
        SMALL, TOUCH, HALVE, {"do": "unmap", **on(part="page 0 of each huge page")}
    ).regions["victim.far"]
    assert [node.huge for node in region.nodes] == [0, 2]
    assert region.absent == 2 * 257


def test_an_address_range_may_begin_and_end_within_a_huge_page() -> None:
    region = end(BASE, {"do": "touch", **on(offset="1M", length="2M")}).regions["victim.far"]
    assert region.nodes[1].base == 512
    assert region.absent == 512
    region = end(BASE, {"do": "touch", **on(offset="1M", length="64K", part="all")}).regions[
        "victim.far"
    ]
    assert region.nodes[1].base == 16


def test_zeros_are_told_from_data() -> None:
    tune: Step = {"do": "set", "file": "khugepaged/max_ptes_none", "value": 100}
    shrink: Step = {"do": "shrink", "cgroup": "/victim", "node": 1, "count": 10}
    seen = end(tune, SMALL, {**TOUCH, "write": "zeros"}, shrink).regions["victim.far"]
    assert (seen.zero, seen.nodes[1].base) == (1024, 0)
    seen = end(tune, SMALL, TOUCH, shrink).regions["victim.far"]
    assert (seen.zero, seen.nodes[1].huge) == (0, 2)


def test_advice() -> None:
    found = run(
        SMALL,
        {"do": "advise", **on(advice="nohugepage")},
        {"do": "touch", **on(length="2M")},
        {"do": "advise", **on(advice="hugepage")},
        {"do": "touch", **on(offset="2M")},
        {"do": "advise", **on(advice="collapse")},
    )
    assert found.observations[-1].regions["victim.far"].nodes[1].huge == 2
    assert texts(found) == []
    refused = run(SMALL, {"do": "advise", **on(advice="collapse")})
    assert texts(refused) == ["refused: EINVAL (Invalid argument)"]


def test_mlock_faults_in_and_keeps_pages_of_zeros() -> None:
    tune: Step = {"do": "set", "file": "khugepaged/max_ptes_none", "value": 100}
    shrink: Step = {"do": "shrink", "cgroup": "/victim", "node": 1, "count": 10}
    lock: Step = {"do": "lock", **on()}
    seen = end(tune, SMALL, lock, shrink).regions["victim.far"]
    assert (seen.zero, seen.nodes[1].huge) == (0, 2)
    seen = end(tune, SMALL, lock, shrink, {**lock, "locked": False}, shrink).regions["victim.far"]
    assert (seen.zero, seen.nodes[1].huge) == (0, 2), "it left the queue while it was locked"
    seen = end(tune, SMALL, lock, {**lock, "locked": False}, shrink).regions["victim.far"]
    assert (seen.zero, seen.nodes[1].huge) == (1024, 0)


def test_mlock_of_a_partly_mapped_huge_page_fills_the_holes() -> None:
    seen = end(SMALL, TOUCH, HALVE, {"do": "lock", **on()}).regions["victim.far"]
    assert (seen.nodes[1].huge, seen.nodes[1].base, seen.absent) == (2, 512, 0)


def test_fork_exit_and_move() -> None:
    found = end(
        SMALL,
        TOUCH,
        {"do": "fork", "task": "victim", "child": "child"},
        {"do": "exit", "task": "victim"},
        {"do": "move_task", "task": "child", "cgroup": "/"},
        {"do": "rmdir", "cgroup": "/victim"},
        {"do": "move_pages", "task": "child", "region": "far", "node": 0},
    )
    assert list(found.regions) == ["child.far"]
    assert [node.huge for node in found.regions["child.far"].nodes] == [2, 0]
    assert list(found.cgroups) == ["/", "/jobs", "/jobs/one"]


def test_pressure_kills_the_task_and_says_so() -> None:
    found = run({"do": "pressure", "task": "hog", "node": 0})
    assert texts(found) == ["task hog was killed by the OOM killer (out of memory on node 0)"]
    assert [outcome.do for outcome in found.outcomes] == ["pressure"]


def test_requests_for_reclaim_say_when_they_got_too_little() -> None:
    again = "less than that could be reclaimed (EAGAIN)"
    found = run(
        SMALL,
        TOUCH,
        HALVE,
        {"do": "reclaim", "cgroup": "/victim", "size": "1M"},
        {"do": "reclaim", "node": 0, "size": "1M"},
    )
    assert texts(found) == [again, again]
    assert found.observations[-1].vmstat["thp_split_page"] == 2


def test_settings() -> None:
    found = end(
        {"do": "set", "file": "enabled", "value": "never"},
        {"do": "set", "file": "defrag", "value": "always"},
        {"do": "set", "file": "shrink_underused", "value": 0},
        {"do": "set", "file": "memory.max", "cgroup": "/victim", "value": "8M"},
        {"do": "set", "file": "memory.high", "cgroup": "/victim", "value": "max"},
        SMALL,
        TOUCH,
    )
    assert found.regions["victim.far"].nodes[1].base == 1024
    assert found.vmstat["thp_fault_alloc"] == 0


def test_khugepaged_acts_when_time_goes_by() -> None:
    head = HEAD.replace(
        'nodes = ["1G", "1G"]', 'nodes = ["1G", "1G"]\nthp = { khugepaged = { awake = true } }'
    )
    found = end(SMALL, TOUCH, HALVE, {"do": "wait", "seconds": 10}, head=head)
    assert found.vmstat["thp_collapse_alloc"] == 2


def test_a_cgroup_may_begin_with_limits() -> None:
    head = HEAD.replace(
        '"/victim" = {}', '"/victim" = { "memory.max" = "1M", "memory.low" = "4K" }'
    )
    found = run(SMALL, TOUCH, head=head)
    assert texts(found) == [
        "task victim was killed by the OOM killer (memory cgroup /victim out of memory)"
    ]


def test_a_task_may_have_a_policy() -> None:
    head = HEAD.replace(
        'victim = { cgroup = "/victim" }',
        'victim = { cgroup = "/victim", policy = { mode = "interleave", nodes = [0, 1] } }',
    )
    steps: list[Step] = [{"do": "map", "task": "victim", "region": "far", "size": "8M"}, TOUCH]
    assert [node.huge for node in end(*steps, head=head).regions["victim.far"].nodes] == [2, 2]


def test_steps_of_a_dead_task_do_nothing_and_say_so() -> None:
    """The scenario cannot know that the limit ends it."""
    head = HEAD.replace('"/victim" = {}', '"/victim" = { "memory.max" = "1M" }')
    others: list[Step] = [
        {**SMALL, "region": "other"},
        TOUCH,
        HALVE,
        {"do": "advise", **on(advice="collapse")},
        {"do": "lock", **on()},
        {"do": "move_pages", **on(node=0)},
        {"do": "unmap", **on()},
        {"do": "move_task", "task": "victim", "cgroup": "/jobs/one"},
        {"do": "fork", "task": "victim", "child": "child"},
        {"do": "exit", "task": "child"},
        {"do": "pressure", "task": "victim", "node": 1},
    ]
    found = run(SMALL, TOUCH, *others, head=head)
    assert texts(found)[1:] == ["the task is dead"] * len(others)


def test_the_scan_file_of_a_shrinker_without_cgroups_refuses_one() -> None:
    head = HEAD.replace("[cgroups]", 'memcg = "nokmem"\n\n[cgroups]')
    shrink: Step = {"do": "shrink", "cgroup": "/victim", "node": 0, "count": 1}
    assert texts(run(shrink, head=head)) == [
        "shrinker thp-deferred_split is not memcg-aware here; its inode is 0 (EINVAL)"
    ]
    assert texts(run(shrink, head=head, design="split_queue")) == []


def test_a_memory_max_that_reclaim_cannot_meet_kills() -> None:
    low: Step = {"do": "set", "file": "memory.max", "cgroup": "/victim", "value": "1M"}
    high: Step = {**low, "file": "memory.high"}
    assert texts(run(SMALL, TOUCH, high, low)) == [
        "task victim was killed by the OOM killer (memory cgroup /victim out of memory)"
    ]


# The run


def test_a_run_says_what_it_is() -> None:
    found = run()
    assert (found.scenario, found.backend, found.design, found.title) == (
        "test",
        "model",
        "list_lru",
        "list_lru",
    )
    assert found.warnings == []


@pytest.mark.parametrize("design", designs.names())
def test_two_runs_are_the_same(design: str) -> None:
    scenario = load(next(path for path in library_files() if path.stem == "cover-letter"))
    assert model.run(scenario, design) == model.run(scenario, design)


def test_progress_is_told_before_each_step() -> None:
    seen: list[tuple[int, int]] = []
    scenario = loads(scenario_text(SMALL, TOUCH, LOOK))
    model.run(scenario, "list_lru", progress=lambda index, of: seen.append((index, of)))
    assert seen == [(0, 3), (1, 3), (2, 3)]


def test_complaints_are_part_of_the_run_each_once() -> None:
    shrink: Step = {"do": "shrink", "cgroup": "/victim", "node": 1, "count": 10}
    found = run(SMALL, TOUCH, HALVE, shrink, design="list_lru_v1")
    assert found.warnings == [
        "WARNING: suspicious RCU usage: folio_memcg() outside an RCU read section (2 times)"
    ]
    once = run({**FAR, "size": "2M"}, TOUCH, HALVE, shrink, design="list_lru_v1")
    assert not once.warnings[0].endswith("times)")


def test_the_garbage_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    run()
    assert gc.isenabled()
    gc.disable()
    try:
        run()
        assert not gc.isenabled()
    finally:
        gc.enable()


MINE = """
from thplab.cpu.errors import KernelBug
from thplab.designs.list_lru import ListLruQueue

class Raises(ListLruQueue):
    def enqueue(self, folio, partially_mapped):
        raise RuntimeError("no idea")

class RaisesAtOnce(ListLruQueue):
    def start(self):
        raise RuntimeError("not today")

class Bug(ListLruQueue):
    def enqueue(self, folio, partially_mapped):
        raise KernelBug("BUG: kernel BUG at mm/mine.py")

class Fine(ListLruQueue):
    pass
"""


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return str(path)


def test_a_design_from_a_file_goes_by_its_class(mine: str) -> None:
    assert run(SMALL, TOUCH, design=f"{mine}:Fine").title == "Fine"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Raises", "step 2 (touch): design {mine}:Raises raised RuntimeError: no idea"),
        ("RaisesAtOnce", "design {mine}:RaisesAtOnce raised RuntimeError: not today"),
    ],
)
def test_a_design_that_raises_is_named_with_the_step(mine: str, name: str, text: str) -> None:
    with pytest.raises(DesignError) as caught:
        run(SMALL, TOUCH, design=f"{mine}:{name}")
    assert str(caught.value) == text.format(mine=mine)
    assert run(SMALL, TOUCH).warnings == [], "the next run begins afresh"


def test_a_kernel_bug_ends_the_run_and_is_part_of_it(mine: str) -> None:
    found = run({**LOOK, "label": "start"}, SMALL, TOUCH, HALVE, design=f"{mine}:Bug")
    assert [at.label for at in found.observations] == ["start"]
    assert found.warnings == ["step 3 (touch): BUG: kernel BUG at mm/mine.py"]
    assert run(SMALL, TOUCH).warnings == [], "the next run begins afresh"


def test_the_models_own_mistakes_are_not_blamed_on_a_design(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_host_and_release: object) -> object:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(model, "build_machine", broken)
    with pytest.raises(ZeroDivisionError):
        run()
