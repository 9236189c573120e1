# SPDX-License-Identifier: GPL-2.0-only
"""How a figure of one Run may be held against the same figure of another, and what a figure is.

Between two Runs of the model every figure is exact, as the model is deterministic. The rules are for
the model against a kernel, or one boot of a kernel against another. Each says why.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

__all__ = ["COUNTED", "EXACT", "KERNEL_OWN", "OF_PROCESSES", "Figure", "Rule", "Unit"]

Unit = Literal["bytes", "pages", "huge pages", "events"]


class Rule(msgspec.Struct, frozen=True):
    """A rule, and the reason for it.

    exact: equal or different. within: may differ by `tolerance`, in the figure's own unit.
    incomparable: says nothing.
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
"""The tolerance is that of the statistics; what each process has comes on top."""


class Figure(NamedTuple):
    """A figure of an Observation: all that there is to know of it beside its value.

    Attributes:
        unit: what it counts.
        words: what it is, for a reader of a table.
        about: what it is, in full, with the kernel's file.
        rule: how two Runs of a scenario may be held against each other.
        rebuilt: khugepaged, when awake, changes it.
        alone: its words where no figure stands before it; "": the same.
    """

    unit: Unit
    words: str
    about: str
    rule: Rule
    rebuilt: bool = False
    alone: str = ""
