# SPDX-License-Identifier: GPL-2.0-only
"""The scenario language as typed structs.

A scenario is data. :mod:`thplab.scenario.loader` decodes it once, strictly, and every backend gets
the same objects. Each step is a file in :mod:`thplab.scenario.steps`.
"""

from __future__ import annotations

import msgspec

from thplab.scenario.conditions import Expectation
from thplab.scenario.declared import Declared
from thplab.scenario.figures import FigurePath
from thplab.scenario.host import Host, Task
from thplab.scenario.steps import AnyStep
from thplab.scenario.tunables import CgroupSettings

__all__ = ["Claim", "Scenario"]


class Claim(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """A figure of an Observation, and what it must be.

    `value` is a path into the Observation `at` (see docs/scenarios.md): "regions.victim.far.huge"
    (all nodes), "regions.victim.far[1].huge" (node 1), "cgroups./victim[0].queue", "nodes[0].free",
    "vmstat.thp_split_page", "mthp.2048kB.split". With `since`, it is the change from that earlier
    observation. `expect` is one condition for every design, or one for each design or release by name
    ("*": any other): "== 64", "!= 0", "< 10", ">= 2M", "7..8" (both ends included).
    """

    at: str
    value: FigurePath
    expect: Expectation
    since: str | None = None
    why: str = ""


class Scenario(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """A scenario file, whole.

    If a step of the file stands for several ("job{000..999}"), `steps` has each of them, and
    `origins` the number of each in the file, from 1; otherwise `origins` is empty.
    """

    name: str
    summary: str
    host: Host
    cgroups: dict[str, CgroupSettings] = {}
    tasks: dict[str, Task] = {}
    steps: tuple[AnyStep, ...]
    claims: tuple[Claim, ...] = ()
    origins: tuple[int, ...] = ()

    def where(self, index: int) -> str:
        """How a message names `steps[index]`: "step 3 (discard)", with its number in the file."""
        number = self.origins[index] if self.origins else index + 1
        return f"step {number} ({self.steps[index].__struct_config__.tag})"

    def declared(self) -> Declared:
        """What exists before the first step.

        Raises:
            ScenarioError: a task's cgroup, policy or oom_score_adj is wrong.
        """
        return Declared(self.host, self.cgroups, self.tasks)
