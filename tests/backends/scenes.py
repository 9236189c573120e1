# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios that the tests of the kernel backends share: the reference measurements, and short ones."""

from __future__ import annotations

from collections.abc import Iterable

from thplab.scenario.host import Host, Task
from thplab.scenario.parts import Part
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps.discard import Discard
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.move_task import MoveTask
from thplab.scenario.steps.observe import Observe
from thplab.scenario.steps.pressure import Pressure
from thplab.scenario.steps.rmdir import Rmdir
from thplab.scenario.steps.shrink import Shrink
from thplab.scenario.steps.touch import Touch
from thplab.scenario.tunables import CgroupSettings, ThpSettings
from thplab.scenario.units import Size

GIB = Size(1 << 30)
HUGE = 2 << 20
TWO_NODES = Host(nodes=(GIB, GIB))


def partly_mapped(region: str, node: int, count: int) -> list[Step]:
    """`count` huge pages of the victim on a node, the upper half of each given back."""
    if not count:
        return []
    return [
        Map(task="victim", region=region, size=Size(count * HUGE), node=node),
        Touch(task="victim", region=region, part=Part.parse("first page of each huge page")),
        Discard(task="victim", region=region, part=Part.parse("upper half of each huge page")),
    ]


def victim_and_hog(
    name: str,
    near: int,
    far: int,
    between: Iterable[Step] = (),
    *,
    pressure: bool = True,
    nodes: tuple[Size, ...] = (GIB, GIB),
    hog_score: int = 1000,
) -> Scenario:
    """The setting of the reference measurements.

    Args:
        name: of the scenario.
        near: the victim's huge pages on node 0.
        far: those on node 1.
        between: steps after they are queued.
        pressure: whether the hog then uses up node 0.
        nodes: the host's.
        hog_score: the hog's oom_score_adj.
    """
    last = Observe(label="after")
    steps = [*partly_mapped("near", 0, near), *partly_mapped("far", 1, far), *between]
    if pressure:
        steps.append(Pressure(task="hog", node=0))
    return Scenario(
        name=name,
        summary="a test",
        host=Host(nodes=nodes, thp=ThpSettings({"shrink_underused": False})),
        cgroups={"/victim": CgroupSettings(), "/hog": CgroupSettings()},
        tasks={
            "victim": Task(cgroup="/victim"),
            "hog": Task(cgroup="/hog", oom_score_adj=hog_score),
        },
        steps=(*steps, last),
    )


def scans(counts: Iterable[int]) -> list[Step]:
    """An observation before, and one after each scan of node 0 for so many objects."""
    steps: list[Step] = [Observe(label="before")]
    for number, count in enumerate(counts):
        steps.append(Shrink(cgroup="/victim", node=0, count=count))
        steps.append(Observe(label=f"scan {number}"))
    return steps


REFERENCE = (
    victim_and_hog("guard-rail", 0, 64),
    victim_and_hog("cover-letter", 1, 64),
    victim_and_hog("eight-and-sixty-four", 8, 64),
    victim_and_hog(
        "offline-cgroup",
        1,
        64,
        [MoveTask(task="victim", cgroup="/"), Rmdir(cgroup="/victim")],
    ),
    victim_and_hog("debugfs-scan", 8, 64, scans((4, 16, 16, 100)), pressure=False),
)
"""The exact cases of the reference measurements."""

SHORT = victim_and_hog("short", 1, 2, pressure=False)
"""A scenario that is over at once."""
