# SPDX-License-Identifier: GPL-2.0-only
"""Runs written by hand, after the reference measurements of the cover letter: no model is needed."""

from __future__ import annotations

from thplab.releases.release import Release
from thplab.scenario.library import library_dir
from thplab.scenario.loader import load
from thplab.scenario.observation import (
    CgroupFigures,
    NodeFigures,
    Observation,
    RegionFigures,
    RegionNode,
    Run,
    StepOutcome,
)
from thplab.scenario.schema import Scenario

MIB = 1 << 20
OLD = frozenset({"split_queue", "split_queue_reparented"})


def cover_letter_scenario() -> Scenario:
    """The library's cover-letter: one huge page on node 0, 64 on node 1."""
    return load(library_dir() / "cover-letter.toml")


def cover_letter_run(design: str, backend: str = "model", title: str = "") -> Run:
    """What the cover letter's scenario does on a design: all 65 split, or the one on node 0."""
    old = design in OLD
    queued = (65, 65) if old else (1, 64)
    return Run(
        scenario="cover-letter",
        backend=backend,
        release=Release.of_version("6.12" if old else "7.3", design),
        title=title or design,
        observations=[
            _observation("queued", split=(0, 0), queue=queued),
            _observation("after", split=(1, 64 if old else 0), queue=(0, 0) if old else (0, 64)),
        ],
        outcomes=[StepOutcome(step=7, do="pressure", text="task hog was killed")],
    )


def _observation(label: str, split: tuple[int, int], queue: tuple[int, int]) -> Observation:
    whole = (1 - split[0], 64 - split[1])
    anon = [(2 * whole[nid] + split[nid]) * MIB for nid in (0, 1)]
    nodes = [
        NodeFigures(free=(900, 950)[nid] * MIB + split[nid] * MIB, anon=anon[nid], huge=0)
        for nid in (0, 1)
    ]
    victim = [CgroupFigures(anon=anon[nid], huge=0, queue=queue[nid]) for nid in (0, 1)]
    return Observation(
        label=label,
        nodes=nodes,
        cgroups={"/victim": victim, "/hog": [CgroupFigures(anon=0, huge=0, queue=0)] * 2},
        regions={
            "victim.near": _region(0, whole[0], split[0], 1),
            "victim.far": _region(1, whole[1], split[1], 64),
        },
        vmstat={"thp_split_page": sum(split), "thp_deferred_split_page": 65, "oom_kill": 0},
        mthp={"2048kB": {"split": sum(split), "nr_anon": sum(whole)}},
    )


def _region(nid: int, whole: int, split: int, count: int) -> RegionFigures:
    nodes = [RegionNode(huge=0, split=0, base=0) for _ in (0, 1)]
    nodes[nid] = RegionNode(huge=whole, split=split, base=256 * split)
    return RegionFigures(nodes=nodes, zero=0, swapped=0, absent=256 * count)
