# SPDX-License-Identifier: GPL-2.0-only
"""What was seen: one shape of Observation, whoever took it.

A figure that a backend cannot see is None, and None equals nothing, not even None: the reason
stands in :attr:`Observation.missing` under the path of the figure.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "CgroupFigures",
    "NodeFigures",
    "Observation",
    "RegionFigures",
    "RegionNode",
    "Run",
    "StepOutcome",
]


class NodeFigures(msgspec.Struct, kw_only=True):
    """One node: bytes free, anonymous, and in anonymous huge pages (/sys/devices/system/node/nodeN/meminfo)."""

    free: int | None = None
    anon: int | None = None
    huge: int | None = None


class CgroupFigures(msgspec.Struct, kw_only=True):
    """One cgroup on one node: bytes (memory.numa_stat: anon, anon_thp), and the shrinker's count.

    `queue` is what the deferred split shrinker's debugfs count file shows for the pair: in the old
    designs the cgroup's whole queue in each column.
    """

    anon: int | None = None
    huge: int | None = None
    queue: int | None = None


class RegionNode(msgspec.Struct, kw_only=True):
    """A region's memory on one node.

    Attributes:
        huge: huge pages (PMD order) still whole, mapped in full or in part.
        split: huge-page-sized, aligned ranges with base pages and no whole huge page; each is counted
            on the node of its first base page.
        base: present base pages that are not part of a whole huge page (the shared zero page aside).
    """

    huge: int | None = None
    split: int | None = None
    base: int | None = None


class RegionFigures(msgspec.Struct, kw_only=True):
    """A region: by node, and what has no node: base pages that map the shared zero page, are swapped
    out, or absent (never touched, discarded or unmapped).
    """

    nodes: list[RegionNode]
    zero: int | None = None
    swapped: int | None = None
    absent: int | None = None


class Observation(msgspec.Struct, kw_only=True):
    """What one `observe` step saw. Counters are changes since the scenario began."""

    label: str
    nodes: list[NodeFigures]
    cgroups: dict[str, list[CgroupFigures]]
    regions: dict[str, RegionFigures]
    """By "task.region"; the tasks alive at that moment."""
    vmstat: dict[str, int | None]
    mthp: dict[str, dict[str, int | None]]
    """By size as the kernel writes it ("2048kB"), then by counter."""
    missing: dict[str, str] = {}


class StepOutcome(msgspec.Struct, kw_only=True):
    """What a step did that an observation does not show, in one line: who was killed, what an error said.

    `step` is its index in `Scenario.steps`, from 0; `Scenario.where()` names it for a reader.
    """

    step: int
    do: str
    text: str


class Run(msgspec.Struct, kw_only=True):
    """One scenario on one backend."""

    scenario: str
    backend: str
    """"model" or "kernel"."""
    design: str
    """The design of the deferred split queue: the model's, or the one that the kernel was found to have."""
    title: str
    """The heading of its column."""
    observations: list[Observation]
    outcomes: list[StepOutcome] = []
    warnings: list[str] = []
    traits: dict[str, bool] = {}
    """What releases do differently, as a kernel was found to do it; the model does all as 7.2, unless told.

    - pt_reclaim: MADV_DONTNEED frees empty page tables, so that a huge page fits in again (6.14).
    - reuse_large_folio: a write after a fork keeps a page of a large folio, if no other task maps
      any page of it (6.15); before, it is always copied, unless a PMD maps the whole.
    - splits_underused: the shrinker splits huge pages that are mostly zeros, and a split gives pages of
      zeros the shared zero page (6.12).
    - scan_skips_mlocked: the shrinker leaves an mlocked huge page alone that is not partly mapped; 6.12
      splits it if it is underused.
    """
    release: str = ""
    """The kernel's, as uname -r has it."""
    notes: list[str] = []
    """How it was run, for the reader: which kernel and emulation, what is known and harmless."""
