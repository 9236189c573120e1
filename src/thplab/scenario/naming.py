# SPDX-License-Identifier: GPL-2.0-only
"""Names in a scenario: which are valid, and which one a misspelt name probably means."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from itertools import islice

from thplab.scenario.errors import ScenarioError

__all__ = ["check_cgroup_path", "check_name", "listed", "meant", "quoted"]

LONGEST_NAME = 64
DEEPEST_CGROUP = 16

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
_COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@-]*", re.ASCII)


def quoted(name: object) -> str:
    """`name` as a message shows it: in quotes, on one line, clipped."""
    text = json.dumps(str(name)[:200])
    return text if len(text) <= 82 else text[:80] + '..."'


def listed(names: Iterable[str], most: int = 8) -> str:
    """The first few of `names`, for a remedy: `"a", "b" and 3 more`."""
    known = list(names)
    text = ", ".join(quoted(name) for name in known[:most])
    return f"{text} and {len(known) - most} more" if len(known) > most else text


def meant(name: str, known: Iterable[str], kind: str) -> str:
    """The remedy for a name that is not among `known`: the nearest of them, or all of them.

    Args:
        name: what the file says.
        known: the names that would be right.
        kind: what they name, in the plural: "cgroups".
    """
    candidates = list(islice(known, 2000))
    if not candidates:
        return f"there are no {kind}"
    near = difflib.get_close_matches(name, candidates, n=1) if len(name) <= LONGEST_NAME * 2 else []
    if near:
        return f"did you mean {quoted(near[0])}?"
    return f"the {kind} are {listed(candidates)}"


def check_name(name: str, kind: str, where: str) -> None:
    """Refuse a name of a task, a region or a label that is not letters, digits, "_" and "-"."""
    article = "an" if kind[0] in "aeiou" else "a"
    if not _NAME.fullmatch(name):
        raise ScenarioError(
            f"{quoted(name)} cannot be the name of {article} {kind}",
            'a name begins with a letter and has letters, digits, "_" and "-" only',
            where,
        )
    if len(name) > LONGEST_NAME:
        raise ScenarioError(
            f"the name {quoted(name)} of {article} {kind} is too long",
            f"a name has at most {LONGEST_NAME} characters",
            where,
        )


def check_cgroup_path(path: str, where: str) -> None:
    """Refuse a path that is not "/" or "/name/name": absolute, no empty part, no trailing slash."""
    if path == "/":
        return
    remedy = 'a cgroup is a path from the root, like "/victim" or "/jobs/one"'
    if not path.startswith("/"):
        if _COMPONENT.fullmatch(path):
            remedy = f"did you mean {quoted('/' + path)}?"
        raise ScenarioError(f"{quoted(path)} is not a cgroup", remedy, where)
    components = path[1:].split("/")
    if len(components) > DEEPEST_CGROUP:
        raise ScenarioError(
            f"the cgroup {quoted(path)} is {len(components)} levels deep",
            f"at most {DEEPEST_CGROUP} are possible",
            where,
        )
    for component in components:
        if not _COMPONENT.fullmatch(component) or len(component) > LONGEST_NAME:
            raise ScenarioError(f"{quoted(path)} is not a cgroup", remedy, where)
        if component.startswith(("cgroup.", "memory.")):
            raise ScenarioError(
                f"{quoted(path)} cannot be a cgroup: the kernel has files of that name",
                'choose a name that does not begin with "cgroup." or "memory."',
                where,
            )
