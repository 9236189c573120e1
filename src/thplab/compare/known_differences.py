# SPDX-License-Identifier: GPL-2.0-only
"""Where a kernel at hand differs from the one that the model stands for, and why.

The model of list_lru is that of 7.2. A difference is listed here only with its cause in the kernel's
source; docs/fidelity.md tells each at length.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from thplab.scenario.schema import Scenario

__all__ = ["KNOWN_DIFFERENCES", "KnownDifference", "known_difference"]


class KnownDifference(msgspec.Struct, frozen=True):
    """A figure that cannot be held against these kernels.

    Attributes:
        design: the kernel's design.
        before: the first release, as (major, minor), in which the difference is gone.
        memcg: how the scenario's host was booted.
        figure: a pattern of the figure, "cgroups.queue".
        why: the cause.
    """

    design: str
    before: tuple[int, int]
    memcg: str
    figure: str
    why: str


KNOWN_DIFFERENCES = (
    KnownDifference(
        design="list_lru",
        before=(7, 2),
        memcg="nokmem",
        figure="cgroups.queue",
        why="under nokmem this kernel's shrinker_alloc() keeps the memcg flag of a shrinker, and the "
        "count file shows the one list of each node for every cgroup; 7.2 drops the flag",
    ),
)


def known_difference(
    scenario: Scenario, design: str, release: tuple[int, int], figure: str
) -> KnownDifference | None:
    """The known difference that a figure falls under, if any.

    Args:
        scenario: what was run.
        design: what the kernel was found to have.
        release: the kernel's, as (major, minor).
        figure: section and name, "cgroups.queue".
    """
    for known in KNOWN_DIFFERENCES:
        if (
            known.design == design
            and release < known.before
            and known.memcg == scenario.host.memcg
            and fnmatchcase(figure, known.figure)
        ):
            return known
    return None
