# SPDX-License-Identifier: GPL-2.0-only
"""Makes sure that kswapd works on each node when a scenario begins (mm/vmscan.c).

kswapd gives a node up after 16 failures, which an OOM kill there causes, until reclaim frees some of its
memory. With the multi-generational LRU only kswapd computes memory.min and memory.low
(lru_gen_age_node()): without it direct reclaim ignores the protection of a new cgroup.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from thplab.agent import system_calls
from thplab.agent.cgroups import Hierarchy
from thplab.agent.task import Task
from thplab.scenario.policies import Policy
from thplab.scenario.tunables import CgroupSettings

__all__ = ["revive_kswapd"]

_CGROUP = "/thplab-kswapd"
_SIZE = 4 << 20


def revive_kswapd(base: Path, nodes: Iterable[int]) -> None:
    """Reclaim a little of each node: lazily freed pages (MADV_FREE), because their reclaim needs no swap.

    It does nothing on a kernel without memory.reclaim (5.19) or without a memory controller.

    Args:
        base: the cgroup below which this may make its own.
        nodes: their ids.
    """
    hierarchy = Hierarchy(base)
    if not hierarchy.has_memory:
        return
    task = Task.start("kswapd", [], 1000)
    try:
        hierarchy.make({_CGROUP: CgroupSettings()})
        hierarchy.attach(_CGROUP, task.pid)
        for node in nodes:
            place = task.map_nameless(_SIZE)
            task.mbind(*place, Policy(mode="bind", nodes=(node,)))
            task.call("madvise", *place, system_calls.MADV_NOHUGEPAGE)
            task.touch(*place, 1)
            task.call("madvise", *place, system_calls.MADV_FREE)
            with contextlib.suppress(OSError):  # EAGAIN: it reclaimed less, which is enough
                hierarchy.write(_CGROUP, "memory.reclaim", str(_SIZE // 2))
    finally:
        task.kill()
        hierarchy.remove_all()
