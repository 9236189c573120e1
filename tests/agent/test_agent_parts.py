# SPDX-License-Identifier: GPL-2.0-only
"""The parts of the agent that need no kernel of their own."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from tests.observe.fake_kernel import write_words
from thplab.agent import free_lists, kernel_world, session
from thplab.agent.cgroups import Hierarchy
from thplab.agent.free_lists import hold_free_lists_still
from thplab.agent.kernel_world import KernelWorld, present_folios
from thplab.agent.report import WorkDirectory
from thplab.agent.tunables import Tunables, restore_from_journal
from thplab.observe.page_census import PagesOfTask
from thplab.releases.release import Release
from thplab.scenario.errors import ScenarioError
from thplab.scenario.host import Host, Task
from thplab.scenario.observation import Run
from thplab.scenario.parts import Part
from thplab.scenario.policies import Mode, Policy, lacks_policy
from thplab.scenario.schema import Scenario
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.observe import Observe
from thplab.scenario.units import Size

HUGE = 2 << 20
PAGE = 4096


def address_ranges(step: Discard, size: int) -> list[tuple[int, int]]:
    """The byte ranges of a step on a region of this size."""
    return step.extent(size, "").ranges()


def discard(part: str = "all", offset: int = 0, length: int | None = None) -> Discard:
    """A step on region "r"."""
    size = None if length is None else Size(length)
    return Discard(task="t", region="r", part=Part.parse(part), offset=Size(offset), length=size)


def test_the_agent_has_no_model_in_its_process() -> None:
    """A guest starts it for each batch, and needs nothing of the model but the sizes of pages."""
    code = "import sys, thplab.agent.__main__; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    rooms = ("thplab.cpu", "thplab.mm", "thplab.designs")
    loaded = {name for name in done.stdout.split() if name.startswith(rooms)}
    assert loaded == {"thplab.mm", "thplab.mm.geometry"}


def test_all_of_a_region_is_one_range() -> None:
    assert address_ranges(discard(), 3 * HUGE) == [(0, 3 * HUGE)]


def test_a_part_is_a_range_in_each_huge_page() -> None:
    upper = discard("upper half of each huge page")
    half = HUGE // 2
    assert address_ranges(upper, 2 * HUGE) == [(half, half), (HUGE + half, half)]


def test_a_part_stays_within_offset_and_length() -> None:
    step = discard("pages 16-31 of each huge page", 20 * PAGE, HUGE)
    assert address_ranges(step, 2 * HUGE) == [
        (20 * PAGE, 12 * PAGE),
        (HUGE + 16 * PAGE, 4 * PAGE),
    ]


def test_a_range_beyond_the_region_is_refused() -> None:
    with pytest.raises(ScenarioError, match="outside region"):
        address_ranges(discard(offset=HUGE), HUGE)


def test_tunables_get_their_first_values_back(tmp_path: Path) -> None:
    tunable = tmp_path / "enabled"
    tunable.write_text("always [madvise] never\n", encoding="ascii")
    tunables = Tunables()
    tunables.set(tunable, "always")
    tunables.set(tunable, "never")
    assert tunable.read_text(encoding="ascii") == "never"
    tunables.restore()
    assert tunable.read_text(encoding="ascii") == "madvise"


def test_a_dead_agents_tunables_are_restored_from_its_journal(tmp_path: Path) -> None:
    tunable, journal = tmp_path / "max_ptes_none", tmp_path / "journal.json"
    tunable.write_text("511\n", encoding="ascii")
    Tunables(journal).set(tunable, 0)
    assert tunable.read_text(encoding="ascii") == "0"
    assert restore_from_journal(journal) == [str(tunable)]
    assert tunable.read_text(encoding="ascii") == "511"
    assert not journal.exists()


def test_without_a_journal_there_is_nothing_to_restore(tmp_path: Path) -> None:
    assert restore_from_journal(tmp_path / "none.json") == []


def test_a_tunable_that_the_kernel_lacks_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Tunables().set(tmp_path / "shrink_underused", 0)


def test_scenarios_pass_through_the_work_directory_unchanged(tmp_path: Path) -> None:
    work = WorkDirectory(tmp_path)
    scenario = Scenario(
        name="s",
        summary="a test",
        host=Host(nodes=(Size(1 << 30),)),
        tasks={"t": Task()},
        steps=(Map(task="t", region="r", size=Size(HUGE)), discard(length=PAGE)),
    )
    work.write(work.scenarios, [scenario])
    assert work.read(work.scenarios, list[Scenario]) == [scenario]
    assert work.read(work.facts, dict) is None
    assert [path.name for path in tmp_path.iterdir()] == ["scenarios.json"]


def test_the_lists_of_the_cpus_are_short_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fold takes an eighth off a limit that has grown to 5,000 pages; the least is 60."""
    limits = [5000.0]
    monkeypatch.setattr(
        free_lists, "fold_per_cpu_counters", lambda _proc: limits.append(limits[-1] * 7 / 8)
    )
    hold_free_lists_still(Tunables(), tmp_path / "sys" / "vm")
    assert limits[-1] < 60


def test_the_lists_of_the_cpus_are_short_until_the_agent_ends(tmp_path: Path) -> None:
    """A kernel without one of the files keeps its way."""
    (tmp_path / "percpu_pagelist_high_fraction").write_text("0\n", encoding="ascii")
    tunables = Tunables()
    hold_free_lists_still(tunables, tmp_path)
    assert int((tmp_path / "percpu_pagelist_high_fraction").read_text(encoding="ascii")) > 100_000
    assert not (tmp_path / "watermark_boost_factor").exists()
    tunables.restore()
    assert (tmp_path / "percpu_pagelist_high_fraction").read_text(encoding="ascii") == "0"


@pytest.mark.parametrize(
    ("first", "count", "found"),
    [
        (0, 1024, [0, 512, 513]),
        (256, 256, [256]),  # the range begins within the huge page
        (7, 506, [7, 512]),
        (514, 510, []),
    ],
)
def test_each_folio_has_an_address_in_the_range(
    first: int, count: int, found: list[int], tmp_path: Path
) -> None:
    """A huge page, and two base pages behind it."""
    start, head = 512, 1024
    present = 1 << 63
    entries = {start + page: present | head + page for page in range(512)}
    entries |= {start + 512: present | 7, start + 513: present | 9}
    flags = {head + page: 1 << 22 | 1 << (16 if page else 15) for page in range(512)}
    write_words(tmp_path / "77" / "pagemap", entries, start + 1024)
    write_words(tmp_path / "kpageflags", flags, 4096)
    with PagesOfTask(77, tmp_path) as pages:
        places = present_folios(pages, (start + first) * PAGE, count * PAGE)
    assert [place // PAGE - start for place in places] == found


def test_a_cgroup_whose_children_are_gone_may_hold_a_task_again(tmp_path: Path) -> None:
    """The kernel refuses one that still gives controllers to children (EBUSY), even if it has none."""
    (tmp_path / "cgroup.controllers").write_text("memory\n", encoding="ascii")
    for path in ("empty", "parent/child"):
        (tmp_path / path).mkdir(parents=True)
        top = tmp_path / path.split("/")[0]
        (top / "cgroup.subtree_control").write_text("memory\n", encoding="ascii")
    hierarchy = Hierarchy(tmp_path)
    for path in ("/empty", "/parent"):
        hierarchy.attach(path, 7)
    assert (tmp_path / "empty/cgroup.subtree_control").read_text(encoding="ascii") == "-memory"
    assert (tmp_path / "parent/cgroup.subtree_control").read_text(encoding="ascii") == "memory\n"


def test_a_zoneinfo_that_cannot_be_read_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scenario goes on, and the model has the scenario's own nodes."""

    def refuse(_nodes: int) -> None:
        raise PermissionError(13, "Permission denied", "/proc/zoneinfo")

    monkeypatch.setattr(session, "read_host_facts", refuse)
    (tmp_path / "cgroup.controllers").write_text("memory\n", encoding="ascii")
    run = Run(
        scenario="s",
        backend="kernel",
        title="t",
        observations=[],
        release=Release.of_version("7.3", "list_lru"),
    )
    session.note_host(run, 1, Hierarchy(tmp_path), set())
    assert run.host is None
    (note,) = run.notes
    assert "Permission denied: '/proc/zoneinfo'" in note


def test_huge_pages_of_other_processes_are_noted(tmp_path: Path) -> None:
    """They may be on the queue, where reclaim splits them with the scenario's."""
    for node, held in ((0, 0), (1, 4096)):
        folder = tmp_path / f"devices/system/node/node{node}"
        folder.mkdir(parents=True)
        text = f"Node {node} AnonHugePages: {held} kB\n"
        (folder / "meminfo").write_text(text, encoding="ascii")
    assert session.huge_pages_of_others([0], tmp_path) == []
    (note,) = session.huge_pages_of_others([0, 1], tmp_path)
    assert note.startswith("other processes had 4M of huge pages when the scenario began")


def test_a_computed_value_that_the_kernel_cannot_compute_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """weighted_interleave/auto: -ENODEV where the firmware gave no bandwidths."""
    auto = tmp_path / "auto"
    auto.write_text("true\n", encoding="ascii")
    tunables = Tunables()
    tunables.set(auto, "false")

    def refuse(path: Path, data: str, encoding: str) -> int:
        raise OSError(errno.ENODEV if path == auto else errno.EIO, "refused")

    monkeypatch.setattr(Path, "write_text", refuse)
    tunables.restore()
    tunables._before = {str(tmp_path / "node0"): "1"}
    with pytest.raises(OSError, match="refused"):
        tunables.restore()


def test_weights_are_set_and_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_WEIGHTS", tmp_path)
    for name, text in (("auto", "true\n"), ("node0", "1\n"), ("node1", "1\n")):
        (tmp_path / name).write_text(text, encoding="ascii")
    tunables = Tunables()
    assert session._set_weights((1, 1), tunables) == []
    assert (tmp_path / "auto").read_text(encoding="ascii") == "true\n"
    assert session._set_weights((3, 1), tunables) == []
    texts = [(tmp_path / name).read_text(encoding="ascii") for name in ("auto", "node0", "node1")]
    assert texts == ["false", "3", "1\n"]
    tunables.restore()
    assert (tmp_path / "node0").read_text(encoding="ascii") == "1"


def test_a_kernel_without_weights_is_noted_if_a_scenario_has_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_WEIGHTS", tmp_path / "none")
    assert session._set_weights((1, 1), Tunables()) == []
    assert session._set_weights((2, 1), Tunables()) == [
        "this kernel has no weighted_interleave (6.9 brought it)"
    ]


@pytest.mark.parametrize(
    ("mode", "number", "lack"),
    [
        ("weighted_interleave", errno.EINVAL, "this kernel lacks the policy weighted_interleave"),
        ("preferred_many", errno.EINVAL, "this kernel lacks the policy preferred_many; 5.15"),
        ("preferred_many", errno.ENOMEM, ""),
        ("bind", errno.EINVAL, ""),
    ],
)
def test_a_refused_mode_is_one_that_the_kernel_lacks(mode: Mode, number: int, lack: str) -> None:
    found = lacks_policy(Policy(mode=mode, nodes=(0,)), OSError(number, ""))
    assert found.startswith(lack)
    assert bool(found) == bool(lack)


def test_a_step_is_over_when_khugepaged_sleeps_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where it is awake: in the model, a pass takes no time."""
    waited = []
    monkeypatch.setattr(kernel_world, "wait_until_khugepaged_sleeps", lambda: waited.append(1))
    for awake in (False, True):
        world = KernelWorld({}, Mock(), Mock(), Mock(), khugepaged_awake=awake)
        world.perform(Observe(label="end"))
        assert len(waited) == awake
