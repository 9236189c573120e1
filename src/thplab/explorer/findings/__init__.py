# SPDX-License-Identifier: GPL-2.0-only
"""What the explorer found in the designs that ship, one TOML file each: predicted, confirmed on a kernel, or refuted.

A failure of a search is recognised by its case, its design, and what the check says; not by its schedule,
which changes with the model.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from thplab.errors import InputError
from thplab.explorer.core_search import Failure
from thplab.explorer.verdict import Verdict

__all__ = [
    "Confirmation",
    "Finding",
    "all_findings",
    "finding_named",
    "is_missing",
    "known_finding",
]

_FOLDER = Path(__file__).parent


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kernel on which it was seen."""

    kernel: str
    """The release, 7.3.4."""
    held_open: bool = True
    """Whether something held one CPU at the place; if not, it happened in the kernel as it is released."""
    how: str
    """How the window was held open, or what opened it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One finding. Texts are Markdown, a paragraph a line."""

    name: str
    number: int
    title: str
    releases: str
    """The releases of Linux whose source has it, for people."""
    designs: list[str]
    """The designs on which a search must find it."""
    cases: list[str]
    """The standard cases that show it."""
    check: str
    report: str
    """A regular expression that the check's report contains."""
    preemptions: int
    """How many its shortest schedule has."""
    status: Literal["predicted", "confirmed", "refuted"]
    because: str = ""
    """Predicted: why nobody has looked yet. Refuted: why the kernel does not do it."""
    confirmed: list[Confirmation] = []
    happens: str
    """The schedule, in the kernel's functions."""
    harm: str
    seen: str = ""
    """What the kernel showed."""
    window: str = ""
    """The change of a kernel that one builds, which holds the window open: function and place."""
    probe: str = ""
    """What `thplab findings confirm` does on a kernel as it is built; "": it does not offer this one."""
    mend: str
    told: str

    def verdict(self) -> str:
        """The status in a few words, with the releases that confirmed it."""
        if self.status != "confirmed":
            return f"{self.status}: {self.because}"
        held, as_released = (
            " and ".join(one.kernel for one in self.confirmed if one.held_open is open_)
            for open_ in (True, False)
        )
        parts = [f"on {held} with the window held open"] if held else []
        parts += [f"on {as_released} as released"] if as_released else []
        return f"confirmed {', '.join(parts)}"

    def program(self) -> str:
        """The source of the C program that shows it on a kernel whose window is held open; "" if there is none."""
        path = _FOLDER / f"{self.name.replace('-', '_')}.c"
        return path.read_text(encoding="utf-8") if path.is_file() else ""


@cache
def all_findings() -> tuple[Finding, ...]:
    """All findings, by their numbers."""
    found = [
        msgspec.toml.decode(path.read_bytes(), type=Finding)
        for path in sorted(_FOLDER.glob("*.toml"))
    ]
    return tuple(sorted(found, key=lambda finding: finding.number))


def finding_named(name: str) -> Finding:
    """The finding of that name, or with that number.

    Raises:
        InputError: there is none.
    """
    for finding in all_findings():
        if name in (finding.name, str(finding.number)):
            return finding
    names = ", ".join(finding.name for finding in all_findings())
    raise InputError(f"there is no finding {name!r}; there are {names}")


def _of(case: str, design: str | None) -> list[Finding]:
    return [
        finding
        for finding in all_findings()
        if finding.status != "refuted" and case in finding.cases and design in finding.designs
    ]


def known_finding(case: str, design: str | None, failure: Failure) -> Finding | None:
    """The finding that a failure of this case and design is, by what its check says; None: it is a new one."""
    for finding in _of(case, design):
        if failure.check == finding.check and re.search(finding.report, failure.text()):
            return finding
    return None


def is_missing(case: str, design: str | None, verdict: Verdict) -> Finding | None:
    """A finding that this search should have met, and did not: it found nothing, and covered enough.

    A search that ended early, or allowed fewer preemptions than the finding needs, says nothing about it.
    """
    if verdict.failure is not None or not verdict.exhausted:
        return None
    for finding in _of(case, design):
        enough = verdict.bound is not None and verdict.bound >= finding.preemptions
        if verdict.all_schedules or enough:
            return finding
    return None
