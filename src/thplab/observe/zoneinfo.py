# SPDX-License-Identifier: GPL-2.0-only
"""/proc/zoneinfo: which page frames belong to which node (mm/vmstat.c)."""

from __future__ import annotations

import bisect
from pathlib import Path

__all__ = ["NodeSpans", "read_node_spans"]


class NodeSpans:
    """The ranges of page frame numbers that the nodes' zones span.

    Args:
        spans: (first frame, frame after the last, node id) of each zone.
    """

    def __init__(self, spans: list[tuple[int, int, int]]) -> None:
        self._spans = sorted(spans)
        self._starts = [start for start, _end, _node in self._spans]

    def overlap(self) -> bool:
        """Whether zones of two nodes interleave, so that they do not show a frame's node."""
        return any(
            before[1] > after[0] and before[2] != after[2]
            for before, after in zip(self._spans, self._spans[1:], strict=False)
        )

    def node_of(self, pfn: int) -> int:
        """The node of a page frame.

        Raises:
            LookupError: the frame is in no zone.
        """
        index = bisect.bisect_right(self._starts, pfn) - 1
        if index < 0 or pfn >= self._spans[index][1]:
            raise LookupError(f"page frame {pfn} is in no zone of /proc/zoneinfo")
        return self._spans[index][2]


def read_node_spans(proc: Path = Path("/proc")) -> NodeSpans:
    """The span of each zone that has any page."""
    spans: list[tuple[int, int, int]] = []
    node = 0
    spanned = 0
    for line in (proc / "zoneinfo").read_text(encoding="ascii").splitlines():
        words = line.replace(",", " ").split()
        if words[:1] == ["Node"]:
            node = int(words[1])
            spanned = 0
        elif words[:1] == ["spanned"]:
            spanned = int(words[1])
        elif words[:1] == ["start_pfn:"] and spanned:
            start = int(words[1])
            spans.append((start, start + spanned, node))
    return NodeSpans(spans)
