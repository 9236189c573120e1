# SPDX-License-Identifier: GPL-2.0-only
"""Real kernels in virtual machines show what was measured on them once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.backends.scenes import REFERENCE
from thplab.backends import vm
from thplab.scenario.library import library_dir
from thplab.scenario.loader import load
from thplab.scenario.observation import Observation, Run

pytestmark = pytest.mark.vm

# What the two kernels showed in three runs each: node -> (huge pages whole, split), and counters.
MEASURED: dict[str, dict[str, dict[str, Any]]] = {
    "split_queue": {
        "guard-rail": {"far": [(0, 0), (64, 0)], "split": 0, "deferred": 64},
        "cover-letter": {"near": [(0, 1), (0, 0)], "far": [(0, 0), (0, 64)], "split": 65},
        "eight-and-sixty-four": {"near": [(0, 8), (0, 0)], "far": [(0, 0), (0, 64)], "split": 72},
        "offline-cgroup": {"near": [(1, 0), (0, 0)], "far": [(0, 0), (64, 0)], "split": 0},
    },
    "list_lru": {
        "guard-rail": {"far": [(0, 0), (64, 0)], "split": 0, "deferred": 64},
        "cover-letter": {"near": [(0, 1), (0, 0)], "far": [(0, 0), (64, 0)], "split": 1},
        "eight-and-sixty-four": {"near": [(0, 8), (0, 0)], "far": [(0, 0), (64, 0)], "split": 8},
        "offline-cgroup": {"near": [(0, 1), (0, 0)], "far": [(0, 0), (64, 0)], "split": 1},
    },
}
SCANNED = {
    "split_queue": ([72, 72], [4, 20, 36, 72], [[68, 68], [52, 52], [36, 36], [0, 0]]),
    "list_lru": ([8, 64], [4, 8, 8, 8], [[4, 64], [0, 64], [0, 64], [0, 64]]),
}


def census(seen: Observation, region: str) -> list[tuple[int | None, int | None]]:
    """Huge pages whole and split, by node."""
    return [(node.huge, node.split) for node in seen.regions[f"victim.{region}"].nodes]


def queue(seen: Observation) -> list[int | None]:
    """The victim's queue, by node."""
    return [node.queue for node in seen.cgroups["/victim"]]


@pytest.fixture(scope="module")
def runs_of() -> dict[Path, dict[str, Run]]:
    """The reference cases' Runs by kernel: one boot each."""
    return {}


@pytest.fixture
def runs(kernel: Path, runs_of: dict[Path, dict[str, Run]]) -> dict[str, Run]:
    """The reference cases on one kernel, by name."""
    if kernel not in runs_of:
        outcomes = vm.run_each(REFERENCE, str(kernel))
        runs_of[kernel] = {run.scenario: run for run in outcomes if isinstance(run, Run)}
        assert len(runs_of[kernel]) == len(REFERENCE)
    return runs_of[kernel]


def test_the_design_is_found_by_probing(kernel: Path, runs: dict[str, Run]) -> None:
    """Both kernels have the same version: only their behaviour tells them apart."""
    assert {run.design for run in runs.values()} == {kernel.name.removeprefix("bzImage-")}


def test_pressure_splits_what_was_measured(kernel: Path, runs: dict[str, Run]) -> None:
    for name, measured in MEASURED[kernel.name.removeprefix("bzImage-")].items():
        after = runs[name].observations[-1]
        for region in ("near", "far"):
            if region in measured:
                assert census(after, region) == measured[region], (name, region)
        assert after.vmstat["thp_split_page"] == measured["split"], name
        assert after.mthp["2048kB"]["split"] == measured["split"], name
        assert after.vmstat["oom_kill"] == 1, name
        assert runs[name].outcomes[-1].text == "task hog was killed by the OOM killer"


def test_a_scan_visits_what_was_measured(kernel: Path, runs: dict[str, Run]) -> None:
    before, split, counts = SCANNED[kernel.name.removeprefix("bzImage-")]
    seen = runs["debugfs-scan"].observations
    assert queue(seen[0]) == before
    assert [moment.vmstat["thp_split_page"] for moment in seen[1:5]] == split
    assert [queue(moment) for moment in seen[1:5]] == counts


def test_the_kernel_complains_of_nothing(runs: dict[str, Run]) -> None:
    """The emulated topology's warning at boot is known: it is told, and not counted."""
    for run in runs.values():
        assert run.warnings == []
        assert any("topology_sane" in note for note in run.notes)


def test_the_run_says_how_the_guest_ran(runs: dict[str, Run]) -> None:
    for run in runs.values():
        assert any("KVM" in note for note in run.notes)


def test_memory_min_holds_whatever_ran_before(new_kernel: Path) -> None:
    """An OOM kill makes kswapd give its node up, and then nobody would look at the protection."""
    scenario = load(library_dir() / "memory-protection.toml")
    for run in vm.run_each([scenario] * 3, str(new_kernel)):
        assert isinstance(run, Run)
        assert run.observations[-1].regions["kept.heap"].nodes[0].huge == 32
