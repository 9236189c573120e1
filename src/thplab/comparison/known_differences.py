# SPDX-License-Identifier: GPL-2.0-only
"""Where a kernel at hand differs from the one that the model stands for, and why.

The model of list_lru is that of 7.2. A difference is listed here only with its cause in the kernel's
source; docs/fidelity.md tells each at length.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from thplab.releases.release import Release
from thplab.scenario.figures import FigurePath
from thplab.scenario.schema import Scenario

__all__ = ["KNOWN_DIFFERENCES", "KnownDifference", "known_difference"]


class KnownDifference(msgspec.Struct, frozen=True):
    """A figure that cannot be held against these kernels.

    Attributes:
        design: the kernel's design.
        before: the first release in which the difference is gone.
        memcg: how the scenario's host was booted.
        figure: a pattern of the figure, "cgroups.queue".
        why: the cause.
    """

    design: str
    before: str
    memcg: str
    figure: str
    why: str


KNOWN_DIFFERENCES = (
    KnownDifference(
        design="list_lru",
        before="7.2",
        memcg="nokmem",
        figure="cgroups.queue",
        why="under nokmem this kernel's shrinker_alloc() keeps the memcg flag of a shrinker, and the "
        "count file shows the one list of each node for every cgroup; 7.2 drops the flag",
    ),
)


def known_difference(
    scenario: Scenario, release: Release, path: FigurePath
) -> KnownDifference | None:
    """The known difference that a figure falls under, if any.

    Args:
        scenario: what was run.
        release: what the kernel was found to be.
        path: the figure.
    """
    for known in KNOWN_DIFFERENCES:
        if (
            known.design == release.design
            and not release.has(known.before)
            and known.memcg == scenario.host.memcg
            and fnmatchcase(f"{path.section}.{path.name}", known.figure)
        ):
            return known
    return None
