# SPDX-License-Identifier: GPL-2.0-only
"""What is asked of the process that looks for a finding, and what it saw."""

from __future__ import annotations

import msgspec

__all__ = ["Request", "Sight", "Telling"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A finding by its name, and the designs whose kernels can have it."""

    name: str
    designs: list[str]


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one huge page in a cgroup of its own."""

    queued_before: list[int]
    """What the shrinker counts for the cgroup, node by node, before the two tasks meet."""
    queued_after: list[int]
    """The same, when both are done."""
    partially_mapped: int
    """nr_anon_partially_mapped, when both are done."""
    split_meanwhile: int
    """Huge pages split before both were done."""
    split_by_scan: int
    """Huge pages that another scan then splits."""

    @property
    def lost(self) -> bool:
        """Whether the huge page was queued, is whole and on no queue, and a scan does not find it."""
        return (
            any(self.queued_before)
            and not any(self.queued_after)
            and not self.split_meanwhile
            and not self.split_by_scan
        )

    @property
    def found(self) -> bool:
        """Whether the huge page is on a queue, and a scan splits it."""
        return any(self.queued_after) and self.split_by_scan == 1


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """The same twice: as the kernel does it, and with the window held open."""

    finding: str
    kernel: str
    """The release, uname -r."""
    place: str
    """Where the tasks were held."""
    without: Telling
    held: Telling | None
    """None: the window did not open."""

    @property
    def seen(self) -> bool:
        """Whether the huge page is lost with the window held open, and only then."""
        return self.held is not None and self.held.lost and self.without.found

    def verdict(self) -> str:
        """In a sentence."""
        if self.seen:
            return f"confirmed on {self.kernel} with the window held open at {self.place}"
        if self.held is None:
            why = f"the window did not open at {self.place}"
        elif not any(self.held.queued_before):
            why = "the huge page was on no queue to begin with"
        elif not self.without.found:
            why = "without the window, too, no scan finds the huge page"
        else:
            why = f"with the window held open at {self.place}, a scan still finds the huge page"
        return f"not seen on {self.kernel}: {why}"
