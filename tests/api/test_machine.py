# SPDX-License-Identifier: GPL-2.0-only
"""The machine to play with: its methods are the steps, and it refuses what the loader refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import thplab
from thplab.cpu.errors import KernelBug
from thplab.designs.split_queue import SplitQueue
from thplab.errors import InputError
from thplab.mm.mm_types import Folio
from thplab.releases.named import release_named
from thplab.scenario.errors import ScenarioError
from thplab.scenario.steps import STEPS

UPPER = "upper half of each huge page"


@pytest.fixture
def machine() -> Iterator[thplab.Machine]:
    """Two nodes, as the newest release."""
    with thplab.Machine(nodes=["1G", "1G"]) as made:
        yield made


def test_what_a_machine_shows_says_how_to_make_it() -> None:
    with thplab.Machine(nodes=["1G", "1.5G"], release="6.12") as made:
        assert repr(made) == "Machine(nodes=['1G', '1536M'], release='6.12', design='split_queue')"


def test_a_design_alone_runs_on_the_newest_release() -> None:
    """As with `--design`: only a release that is named as well may refuse it."""
    with thplab.Machine(design="split_queue") as made:
        assert repr(made).endswith("release='7.3', design='split_queue')")
    with pytest.raises(InputError, match="cannot have the design"):
        thplab.Machine(release="7.3", design="split_queue")


def test_a_release_may_be_one_of_the_users_own() -> None:
    own = release_named("6.18").differing(pt_reclaim=False)
    with thplab.Machine(release=own) as made:
        assert not made.model.madvise.pt_reclaim


def test_a_task_that_is_refused_leaves_no_cgroup(machine: thplab.Machine) -> None:
    with pytest.raises(InputError):
        machine.task("t", cgroup="/new", policy={"mode": "sideways"})
    assert machine.cgroup("/new") == "/new"


def test_every_step_of_the_language_is_a_method_somewhere(machine: thplab.Machine) -> None:
    task = machine.task("t")
    region = task.mmap("r", "2M")
    offered = {*dir(machine), *dir(task), *dir(region)}
    # mmap() is the step map; observe() has a method of its own.
    assert set(STEPS) - {"map"} <= offered


def test_a_step_does_what_it_does_in_a_scenario(machine: thplab.Machine) -> None:
    heap = machine.task("worker", cgroup="/job").mmap("heap", "16M", node=1)
    heap.touch()
    heap.discard(UPPER)
    assert machine.observe()["cgroups./job[1].queue"] == 8
    assert (
        machine.observe()["cgroups./job.current"]
        == machine.observe()["cgroups./job.peak"]
        == 16 << 20
    )
    assert machine.observe()["cgroups./job.events.oom_kill"] == 0
    machine.shrink(cgroup="/job", node=1, count=3)
    assert machine.observe("later")["regions.worker.heap[1].split"] == 3


def test_a_fork_has_its_parents_regions(machine: thplab.Machine) -> None:
    parent = machine.task("p")
    parent.mmap("r", "2M").touch()
    child = parent.fork("c")
    child.region("r").touch("first page of each huge page")
    seen = machine.observe()
    assert seen["regions.c.r.base"] == 1
    parent.exit()
    with pytest.raises(ScenarioError, match="has ended"):
        parent.mmap("s", "2M")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda m: m.task("t", cgroup="job"), 'did you mean "/job"'),
        (lambda m: m.wait(seconds=0), "wait for 1 to 86400 seconds"),
        (lambda m: m.set(file="enabled", value="ever"), 'enabled cannot be "ever"'),
        (lambda m: m.step("fly"), 'there is no step "fly"'),
        (lambda m: m.cgroup("/x", {"memory.max": "2"}), "has no unit"),
        (lambda m: m.task("t").mmap("r", "3K"), "whole pages of 4K"),
    ],
)
def test_what_the_loader_refuses_is_refused(
    machine: thplab.Machine, wrong: object, told: str
) -> None:
    assert callable(wrong)
    with pytest.raises(ScenarioError, match=told):
        wrong(machine)


def test_a_step_that_is_not_here_is_no_attribute(machine: thplab.Machine) -> None:
    region = machine.task("t").mmap("r", "2M")
    with pytest.raises(AttributeError, match="discard"):
        region.dicard()
    with pytest.raises(InputError, match="by name"):
        region.touch(UPPER, "data")


@pytest.mark.parametrize(
    "wrong",
    [
        {"release": "6.13"},
        {"release": "6.12", "design": "list_lru"},
        {"nodes": ["1K"]},
        {"memcg": "off"},
        {"thp": {"enabled": "sometimes"}},
        {"nothing": 1},
    ],
)
def test_a_machine_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        thplab.Machine(**wrong)  # type: ignore[arg-type]


def test_the_host_is_what_a_file_would_say() -> None:
    thp = {"shrink_underused": False, "khugepaged": {"max_ptes_none": 0}}
    with thplab.Machine(nodes=["1G"], thp=thp) as m:
        assert m.model.huge_memory.thp.shrink_underused is False
        assert m.model.khugepaged.max_ptes_none == 0


class Stops(SplitQueue):
    """A queue that finds a bug in the middle."""

    def enqueue(self, folio: Folio, partially_mapped: bool) -> None:
        """A kernel would stop here."""
        raise KernelBug("BUG: in the middle")


def test_a_bug_in_one_machine_does_not_reach_another(machine: thplab.Machine) -> None:
    with thplab.Machine(nodes=["1G"], design=Stops) as broken:
        with pytest.raises(KernelBug):
            broken.task("t").mmap("r", "2M").touch()
        assert broken.warnings == ["step 2 (touch): BUG: in the middle"]
        region = machine.task("t").mmap("r", "2M")
        region.touch()
        region.discard(UPPER)
        assert machine.observe()["cgroups./[0].queue"] == 1
        assert machine.warnings == []
