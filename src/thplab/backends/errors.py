# SPDX-License-Identifier: GPL-2.0-only
"""What can go wrong with a real kernel."""

from __future__ import annotations

from thplab.scenario.errors import ThplabError
from thplab.scenario.observation import Run

__all__ = ["KernelRunError"]


class KernelRunError(ThplabError):
    """A guest or an agent ended before it had run all its scenarios.

    Args:
        problem: what happened.
        kernel_log: the file of the kernel's log; "" if there is none.
        runs: the Runs that were complete before, in order.
        begun: the agent had begun the scenarios.
    """

    def __init__(
        self,
        problem: str,
        kernel_log: str = "",
        runs: list[Run] | None = None,
        begun: bool = True,
    ) -> None:
        super().__init__(f"{problem}; the kernel's log is {kernel_log}" if kernel_log else problem)
        self.problem = problem
        self.kernel_log = kernel_log
        self.runs = runs or []
        self.begun = begun
