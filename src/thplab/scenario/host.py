# SPDX-License-Identifier: GPL-2.0-only
"""What exists before the first step: the machine, and its tasks. Cgroups are in tunables.py."""

from __future__ import annotations

from typing import Literal

import msgspec

from thplab.mm.geometry import HPAGE_PMD_SIZE
from thplab.scenario.errors import ScenarioError
from thplab.scenario.policies import Policy, check_weights
from thplab.scenario.tunables import ThpSettings, VmSettings
from thplab.scenario.units import Size, exact_size

__all__ = ["Host", "Task", "check_host"]

MOST_NODES = 64
MOST_MEMORY = 64 << 40
LEAST_NODE = 64 << 20
LOCAL_DISTANCE = 10
"""The distance of a node from itself (the kernel's LOCAL_DISTANCE)."""


class Host(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """The machine: the memory of each node, its boot options, and how it is set up.

    recursiveprot: cgroup2 is mounted with memory_recursiveprot, as systemd does.
    """

    nodes: tuple[Size, ...]
    distances: tuple[tuple[int, ...], ...] | None = None
    weighted_interleave: tuple[int, ...] | None = None
    memcg: Literal["on", "nokmem", "disabled"] = "on"
    recursiveprot: bool = True
    thp: ThpSettings = msgspec.field(default_factory=ThpSettings)
    vm: VmSettings = msgspec.field(default_factory=VmSettings)

    def weights(self) -> tuple[int, ...]:
        """The weight of each node in weighted interleaving: 1 where the file does not say."""
        return self.weighted_interleave or (1,) * len(self.nodes)


class Task(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """A process. It starts before the first step and ends with `exit`, an OOM kill, or the run."""

    cgroup: str = "/"
    oom_score_adj: int = 0
    policy: Policy | None = None


def check_host(host: Host) -> None:
    """Refuse a machine that no backend can offer.

    Raises:
        ScenarioError: the number of nodes, a size or a distance is wrong.
    """
    count = len(host.nodes)
    if not 1 <= count <= MOST_NODES:
        raise ScenarioError(
            f"there are {count} nodes", f"a host has 1 to {MOST_NODES} nodes", "host"
        )
    for nid, size in enumerate(host.nodes):
        if size < LEAST_NODE or size % HPAGE_PMD_SIZE:
            raise ScenarioError(
                f"node {nid} has {exact_size(size)}",
                f"a node has at least {exact_size(LEAST_NODE)}, in whole huge pages of 2M",
                "host",
            )
    if sum(host.nodes) > MOST_MEMORY:
        raise ScenarioError(
            f"the nodes have {exact_size(sum(host.nodes))} together",
            f"at most {exact_size(MOST_MEMORY)} are possible",
            "host",
        )
    if host.distances is not None:
        _check_distances(host.distances, count)
    if host.weighted_interleave is not None:
        check_weights(host.weighted_interleave, count)


def _check_distances(distances: tuple[tuple[int, ...], ...], count: int) -> None:
    if len(distances) != count or any(len(row) != count for row in distances):
        raise ScenarioError(
            "distances must be a row for each node, with a number for each node",
            f"give {count} rows of {count} numbers, as in /sys/devices/system/node/nodeN/distance",
            "host",
        )
    for nid, row in enumerate(distances):
        for other, distance in enumerate(row):
            local = other == nid
            if (local and distance != LOCAL_DISTANCE) or (
                not local and not LOCAL_DISTANCE < distance < 255
            ):
                raise ScenarioError(
                    f"the distance from node {nid} to node {other} is {distance}",
                    f"a node has the distance {LOCAL_DISTANCE} to itself and 11 to 254 to another",
                    "host",
                )
