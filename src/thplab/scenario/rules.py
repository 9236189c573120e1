# SPDX-License-Identifier: GPL-2.0-only
"""What a figure is, and how to compare it between two Runs.

Between two Runs of the model every figure is exact, because the model is deterministic. The rules apply
to the model against a kernel, and to one boot of a kernel against another. Each says why.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

__all__ = [
    "CHARGED",
    "COUNTED",
    "EXACT",
    "FREE_RUNNING",
    "KERNEL_OWN",
    "OF_CHARGES",
    "OF_FREE_MEMORY",
    "OF_MADVISE",
    "OF_PROCESSES",
    "OF_STOCK",
    "OF_VICTIMS",
    "PROCESS",
    "Figure",
    "Rule",
    "Unit",
]

Unit = Literal["bytes", "pages", "huge pages", "events"]


class Rule(msgspec.Struct, frozen=True):
    """A rule, and the reason for it.

    exact: equal or different. within: may differ by `tolerance`, in the figure's own unit.
    incomparable: a difference says nothing.
    """

    kind: Literal["exact", "within", "incomparable"]
    why: str
    tolerance: int = 0


EXACT = Rule("exact", "the steps alone decide it")
COUNTED = Rule("exact", "counts events that the steps alone decide")
KERNEL_OWN = Rule("incomparable", "a kernel and its services use memory of their own")
OF_PROCESSES = Rule(
    "within",
    "the tasks and the agent are processes, with up to 2M of their own; statistics lag by 1M",
    1 << 20,
)
"""The tolerance is that of the statistics; tolerances.rule_for() adds that of the processes."""
PROCESS = 2 << 20
"""Bytes of a process beside the scenario's regions: those of its interpreter. The agent has them too."""
OF_FREE_MEMORY = (
    "the steps fill a node, so it depends on the few pages that the processes, page tables and lists of the "
    "CPUs take: a range"
)
"""Why a figure has the range that the model gives with as little and as much free memory as the kernel may have."""
OF_CHARGES = "a limit is near, so it depends on the few pages that the processes and page tables are charged for: a range"
"""Why a figure has the range that the model gives with each charge that the processes may have."""
OF_STOCK = (
    "a task over memory.high reclaims before its new huge page is queued, or after: as its CPU has a page charged in "
    "advance for the page table or not (consume_stock()): a range"
)
"""Why a figure has the range of both."""
OF_MADVISE = (
    "the pass that madvise(2) wakes comes to its address space before madvise(2) has given up mmap_lock, or after; "
    "khugepaged does not wait for the lock: a range"
)
"""Why a figure has the range of both."""
OF_VICTIMS = (
    "the kernel killed one task more: it looks at the limit before it chooses, and passes over a victim that ends just "
    "then (MMF_OOM_SKIP, which exit_mmap() sets before it frees): a range"
)
"""Why a figure has the range that the model gives when the OOM killer takes a second task now and then."""
CHARGED = Rule(
    "within",
    "beside the regions the kernel charges what the tasks have as processes, up to 2M each, page tables, 4K for "
    "each 2M, and 64 pages in advance for each CPU",
    1 << 20,
)
"""The tolerance is that of the pages in advance; tolerances.rule_for() adds the rest."""
FREE_RUNNING = Rule(
    "incomparable", "how often reclaim was tried or met a cgroup: differs from boot to boot"
)


class Figure(NamedTuple):
    """A figure of an Observation, apart from its value.

    Attributes:
        unit: what it counts.
        words: what a table calls it.
        about: what it is, in full, with the kernel's file.
        rule: how to compare it between two Runs of a scenario.
        rebuilt: khugepaged, when awake, changes it.
        alone: its words where the table shows no figure before it; "": the same.
        since: the release that brought it; "": all releases that thplab knows have it.
        below_root: the root cgroup does not have it.
        quiet: the table shows it only where a claim names it, or with --all.
    """

    unit: Unit
    words: str
    about: str
    rule: Rule
    rebuilt: bool = False
    alone: str = ""
    since: str = ""
    below_root: bool = False
    quiet: bool = False
