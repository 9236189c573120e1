# SPDX-License-Identifier: GPL-2.0-only
"""The figures that were measured on real kernels, and those of the model beside them.

tests/data/measured.json says what was done (`setting`, and `params` of each case) and what was
seen. A figure is equal where the case is exact, and else inside the range of what was seen.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.scenario.scenario_text import scenario_text
from thplab.backends import model
from thplab.scenario.loader import loads
from thplab.scenario.observation import Observation, Run

MEASURED = json.loads((Path(__file__).parent.parent / "data" / "measured.json").read_text("utf-8"))
DESIGNS = ("split_queue", "list_lru")
CASES = [(case, design) for case in MEASURED["cases"] for design in DESIGNS]
IDS = [f"{case['id']}-{design}" for case, design in CASES]

Step = dict[str, object]


def head(khugepaged_awake: bool) -> str:
    """The guest of `setting`."""
    guest = MEASURED["setting"]["guest"]
    assert guest["shrink_underused"] == 0
    khugepaged = f", khugepaged = {{ awake = {str(khugepaged_awake).lower()} }}"
    return f"""
name = "measured"
summary = "What was done to a real kernel."
[host]
nodes = {json.dumps(guest["nodes"])}
thp = {{ enabled = "{guest["thp_enabled"]}", shrink_underused = false{khugepaged} }}
[cgroups]
"/victim" = {{}}
"/hog" = {{}}
[tasks]
victim = {{ cgroup = "/victim" }}
hog = {{ cgroup = "/hog", oom_score_adj = 1000 }}
"""


def victim(params: dict[str, Any]) -> list[Step]:
    """The victim of `setting`: n0 huge pages on node 0, n1 on node 1, the upper halves discarded."""
    regions = [("near", params["n0"], 0), ("far", params["n1"], 1)]
    there = [(region, huge, node) for region, huge, node in regions if huge]
    base = {"task": "victim"}
    maps: list[Step] = [
        {"do": "map", **base, "region": region, "size": f"{2 * huge}M", "node": node}
        for region, huge, node in there
    ]
    touches: list[Step] = [
        {"do": "touch", **base, "region": region, "part": "first page of each huge page"}
        for region, _, _ in there
    ]
    discards: list[Step] = [
        {"do": "discard", **base, "region": region, "part": "upper half of each huge page"}
        for region, _, _ in there
    ]
    return [*maps, *touches, *discards, {"do": "observe", "label": "queued"}]


def deeds(case: dict[str, Any]) -> list[Step]:
    """What is done to the victim, by the title of the case."""
    pressure: list[Step] = [{"do": "pressure", "task": "hog", "node": 0}]
    if case["id"] == "debugfs-scan":
        scans: list[Step] = []
        for index, (node, count) in enumerate(case["params"]["scan"]):
            scans += [
                {"do": "shrink", "cgroup": "/victim", "node": node, "count": count},
                {"do": "observe", "label": f"scan-{index}"},
            ]
        return scans
    if case["id"] == "offline-cgroup":
        return [
            {"do": "move_task", "task": "victim", "cgroup": "/"},
            {"do": "rmdir", "cgroup": "/victim"},
            *pressure,
        ]
    if case["id"] == "khugepaged-awake":
        return [*pressure, {"do": "wait", "seconds": 10}]
    assert case["id"] in {"guard-rail", "cover-letter", "eight-and-sixty-four"}
    return pressure


@cache
def run_of(case_id: str, design: str) -> Run:
    """The case, run on the model."""
    case = next(case for case in MEASURED["cases"] if case["id"] == case_id)
    steps: list[Step] = [*victim(case["params"]), *deeds(case), {"do": "observe", "label": "after"}]
    text = scenario_text(*steps, head=head(case_id == "khugepaged-awake"))
    return model.run(loads(text), design)


def agrees(figure: int | None, seen: int | list[int]) -> bool:
    """A list is what was seen in several runs: any figure in its range will do."""
    if figure is None:
        return False
    if isinstance(seen, list):
        return min(seen) <= figure <= max(seen)
    return figure == seen


def regions(at: Observation, nid: int) -> dict[str, int]:
    """Of both regions: huge pages whole, and ranges that were split, on one node."""
    found = {"whole": 0, "split": 0}
    for region in at.regions.values():
        found["whole"] += region.nodes[nid].huge or 0
        found["split"] += region.nodes[nid].split or 0
    return found


@pytest.mark.parametrize(("case", "design"), CASES, ids=IDS)
def test_pages_whole_and_split_are_those_of_a_real_kernel(
    case: dict[str, Any], design: str
) -> None:
    after = run_of(case["id"], design).observations[-1]
    seen = case["kernels"][design]
    for nid in (0, 1):
        figures = regions(after, nid)
        for item, value in seen[f"node{nid}"].items():
            assert agrees(figures[item], value), (nid, item, figures[item], value)


@pytest.mark.parametrize(("case", "design"), CASES, ids=IDS)
def test_counters_are_those_of_a_real_kernel(case: dict[str, Any], design: str) -> None:
    after = run_of(case["id"], design).observations[-1]
    seen = case["kernels"][design]
    compared = 0
    for event in ("thp_split_page", "thp_deferred_split_page"):
        if event in seen:
            assert agrees(after.vmstat[event], seen[event]), event
            compared += 1
    for item, value in seen.get("mthp", {}).items():
        assert agrees(after.mthp["2048kB"][item], value), item
        compared += 1
    if "mthp_nr_anon" in seen:
        assert agrees(after.mthp["2048kB"]["nr_anon"], seen["mthp_nr_anon"])
        compared += 1
    assert compared or case["id"] == "debugfs-scan"


@pytest.mark.parametrize("design", DESIGNS)
def test_each_write_to_the_scan_file_splits_what_it_split_on_a_real_kernel(design: str) -> None:
    case = next(case for case in MEASURED["cases"] if case["id"] == "debugfs-scan")
    seen = case["kernels"][design]
    observations = run_of("debugfs-scan", design).observations

    def columns(at: Observation) -> list[int]:
        return [figures.queue or 0 for figures in at.cgroups["/victim"]]

    assert columns(observations[0]) == seen["count_before"]
    before = observations[0]
    assert len(seen["split"]) == len(observations) - 2
    for index, at in enumerate(observations[1:-1]):
        split = (at.vmstat["thp_split_page"] or 0) - (before.vmstat["thp_split_page"] or 0)
        assert split == seen["split"][index], index
        # A line that is missing from the count file has only zeros.
        assert columns(at) == (seen["count_after"][index] or [0, 0]), index
        before = at


@pytest.mark.parametrize(("case", "design"), CASES, ids=IDS)
def test_the_model_complains_about_nothing(case: dict[str, Any], design: str) -> None:
    assert run_of(case["id"], design).warnings == []


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("case", ["guard-rail", "cover-letter", "eight-and-sixty-four"])
def test_pressure_ends_with_the_kill_of_the_hog(case: str, design: str) -> None:
    outcomes = run_of(case, design).outcomes
    assert [outcome.do for outcome in outcomes] == ["pressure"]
    assert "task hog was killed by the OOM killer (out of memory on node 0)" in outcomes[0].text


def test_every_case_is_run_on_every_kernel_that_was_measured() -> None:
    """A case that is added to the file must not be left out."""
    for case in MEASURED["cases"]:
        assert set(case["kernels"]) == set(DESIGNS)
