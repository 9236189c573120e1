# SPDX-License-Identifier: GPL-2.0-only
"""The scenario language: what a scenario file may say, as typed structs.

A scenario is data. It is decoded once, strictly (see :mod:`thplab.scenario.loader`), and every
backend gets the same objects. Sizes are bytes here; in a file they are text with a unit ("2M").
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "Advise",
    "Cgroup",
    "Claim",
    "Discard",
    "Exit",
    "Fork",
    "Host",
    "Khugepaged",
    "Lock",
    "Map",
    "MovePages",
    "MoveTask",
    "Observe",
    "Policy",
    "Pressure",
    "Reclaim",
    "Rmdir",
    "Scenario",
    "Set",
    "Shrink",
    "Size",
    "Step",
    "Task",
    "Thp",
    "Touch",
    "Unmap",
    "Wait",
]


class Size(int):
    """A number of bytes, written with a unit: "4K", "2M", "1.5G", "1T", or "0"."""


Mode = Literal["bind", "preferred", "interleave", "local"]


class Policy(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A memory policy: mbind(2) for a region, set_mempolicy(2) for a task."""

    mode: Mode
    nodes: tuple[int, ...] = ()


class Khugepaged(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """/sys/kernel/mm/transparent_hugepage/khugepaged, the kernel's defaults; asleep unless asked."""

    awake: bool = False
    max_ptes_none: int = 511
    pages_to_scan: int = 4096
    scan_sleep_millisecs: int = 10000


class Thp(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """/sys/kernel/mm/transparent_hugepage: the tunables, with the kernel's defaults."""

    enabled: Literal["always", "madvise", "never"] = "always"
    defrag: Literal["always", "defer", "defer+madvise", "madvise", "never"] = "madvise"
    shrink_underused: bool = True
    khugepaged: Khugepaged = Khugepaged()


class Host(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """The machine: the memory of each node, and how it was booted."""

    nodes: tuple[Size, ...]
    distances: tuple[tuple[int, ...], ...] | None = None
    memcg: Literal["on", "nokmem", "disabled"] = "on"
    thp: Thp = Thp()


class Cgroup(
    msgspec.Struct,
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"max": "memory.max", "high": "memory.high", "low": "memory.low", "min": "memory.min"},
):
    """A memory cgroup, made before the first step. None is the kernel's default."""

    max: Size | None = None
    high: Size | None = None
    low: Size | None = None
    min: Size | None = None


class Task(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """A process. It starts before the first step and ends with `exit`, an OOM kill, or the run."""

    cgroup: str = "/"
    oom_score_adj: int = 0
    policy: Policy | None = None


class Step(
    msgspec.Struct,
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="do",
):
    """One thing that happens. `do` names it."""


class RangeStep(Step, frozen=True):
    """A step on a region, or on a part of it.

    `offset` and `length` choose an address range of the region, `part` pages in each huge page
    of that range: "all", "upper half of each huge page", "lower half of each huge page", "first
    page of each huge page", "all but the first page of each huge page", "page 7 of each huge
    page", "pages 16-31 of each huge page" (counted from 0, both ends included).
    """

    task: str
    region: str
    offset: Size = msgspec.field(default_factory=Size)
    length: Size | None = None
    part: str = "all"


class Map(Step, tag="map", frozen=True):
    """mmap(2) of private anonymous memory, aligned to a huge page, and mbind(2). Nothing is touched yet.

    `node` is short for `policy = { mode = "bind", nodes = [node] }`. `thp` is MADV_HUGEPAGE or
    MADV_NOHUGEPAGE.
    """

    task: str
    region: str
    size: Size
    node: int | None = None
    policy: Policy | None = None
    thp: Literal["default", "hugepage", "nohugepage"] = "default"


class Touch(RangeStep, tag="touch", frozen=True):
    """Write to each base page of the range: one byte of data, or zeros."""

    write: Literal["data", "zeros"] = "data"


class Discard(RangeStep, tag="discard", frozen=True):
    """madvise(MADV_DONTNEED)."""


class Unmap(RangeStep, tag="unmap", frozen=True):
    """munmap(2). A part that was unmapped may not be used again."""


class Advise(RangeStep, tag="advise", kw_only=True, frozen=True):
    """madvise(2): MADV_HUGEPAGE, MADV_NOHUGEPAGE (whole region), MADV_COLLAPSE."""

    advice: Literal["hugepage", "nohugepage", "collapse"]


class Lock(RangeStep, tag="lock", frozen=True):
    """mlock(2) of the whole region, which faults it in; `locked = false` is munlock(2)."""

    locked: bool = True


class MovePages(RangeStep, tag="move_pages", kw_only=True, frozen=True):
    """move_pages(2): the pages of the range go to `node`."""

    node: int


class Fork(Step, tag="fork", frozen=True):
    """fork(2): the task `child` starts with a copy of the task's address space, in the same cgroup."""

    task: str
    child: str


class Exit(Step, tag="exit", frozen=True):
    """The task ends; its memory is unmapped."""

    task: str


class MoveTask(Step, tag="move_task", frozen=True):
    """Write the task to another cgroup's cgroup.procs. Memory charged so far stays where it is charged."""

    task: str
    cgroup: str


class Pressure(Step, tag="pressure", frozen=True):
    """The task touches base pages bound to the node until the kernel's OOM killer ends it."""

    task: str
    node: int


class Reclaim(Step, tag="reclaim", frozen=True):
    """Proactive reclaim of `size` from a cgroup (memory.reclaim) or a node (its reclaim file): one of the two."""

    size: Size
    cgroup: str | None = None
    node: int | None = None


class Set(Step, tag="set", frozen=True):
    """Write a tunable: a cgroup's memory.max, .high, .low or .min (with `cgroup`), or a file below
    /sys/kernel/mm/transparent_hugepage ("shrink_underused", "khugepaged/max_ptes_none", ...).
    """

    file: str
    value: str | int
    cgroup: str | None = None


class Shrink(Step, tag="shrink", frozen=True):
    """Write the deferred split shrinker's debugfs scan file: one cgroup, one node, `count` objects."""

    cgroup: str
    node: int
    count: int


class Rmdir(Step, tag="rmdir", frozen=True):
    """Remove the cgroup: it goes offline. It must have no task and no child left."""

    cgroup: str


class Wait(Step, tag="wait", frozen=True):
    """Let `seconds` pass. Only khugepaged, when awake, acts on time; other steps take none in the model."""

    seconds: int


class Observe(Step, tag="observe", frozen=True):
    """Take an Observation and name it."""

    label: str


AnyStep = (
    Map
    | Touch
    | Discard
    | Unmap
    | Advise
    | Lock
    | MovePages
    | Fork
    | Exit
    | MoveTask
    | Pressure
    | Reclaim
    | Set
    | Shrink
    | Rmdir
    | Wait
    | Observe
)


class Claim(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """What must hold: a figure of an Observation, compared with an expectation.

    `value` is a path into the Observation `at` (see docs/scenarios.md): "regions.victim.far.huge"
    (all nodes), "regions.victim.far[1].huge" (node 1), "cgroups./victim[0].queue", "nodes[0].free",
    "vmstat.thp_split_page", "mthp.2048kB.split". With `since`, it is the change from that earlier
    observation. `expect` is one condition for every design, or one for each design by name
    ("*": any other): "== 64", "!= 0", "< 10", ">= 2M", "7..8" (both ends included).
    """

    at: str
    value: str
    expect: str | dict[str, str]
    since: str | None = None
    why: str = ""


class Scenario(
    msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True, omit_defaults=True
):
    """A scenario file, whole.

    Where a step of the file stood for several ("job{000..999}"), `steps` has each of them, and
    `origins` the number that each has in the file, from 1; otherwise `origins` is empty.
    """

    name: str
    summary: str
    host: Host
    cgroups: dict[str, Cgroup] = {}
    tasks: dict[str, Task] = {}
    steps: tuple[AnyStep, ...]
    claims: tuple[Claim, ...] = ()
    origins: tuple[int, ...] = ()

    def where(self, index: int) -> str:
        """The step `steps[index]` as a message names it: "step 3 (discard)", counted in the file."""
        number = self.origins[index] if self.origins else index + 1
        return f"step {number} ({self.steps[index].__struct_config__.tag})"
