# SPDX-License-Identifier: GPL-2.0-only
"""Errors that a user can do something about."""

from __future__ import annotations

from thplab.errors import DesignError, InputError, ThplabError

__all__ = ["DesignError", "InputError", "ScenarioError", "ThplabError"]


class ScenarioError(InputError):
    """A scenario that is not one, or a step that cannot be carried out.

    Args:
        problem: what is wrong, with the name of the cgroup, the region, the node.
        remedy: what would be right.
        where: the place in the file, "step 3 (discard)", "host", "claim 2".
        path: the file; the code that knows it fills it in.
    """

    def __init__(self, problem: str, remedy: str = "", where: str = "", path: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.where = where
        self.path = path

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.path, self.where, self.problem) if part)
        return f"{place}; {self.remedy}" if self.remedy else place
