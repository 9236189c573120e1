# SPDX-License-Identifier: GPL-2.0-only
"""Known differences between kernels and the model, each with its cause.

The model of list_lru follows 7.2. Each difference here has its cause in the kernel's source;
docs/fidelity.md describes it at length.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from thplab.releases.release import Release
from thplab.scenario.figures import FigurePath
from thplab.scenario.schema import Scenario

__all__ = ["KNOWN_DIFFERENCES", "KnownDifference", "known_difference"]


class KnownDifference(msgspec.Struct, frozen=True):
    """A figure in which these kernels differ from the model.

    Attributes:
        design: the kernel's design.
        before: the first release without the difference.
        memcg: the scenario's `memcg`.
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
    """The known difference that explains a figure, if any.

    Args:
        scenario: what the kernel ran.
        release: the kernel's.
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
