# SPDX-License-Identifier: GPL-2.0-only
"""/proc/zoneinfo: which page frames belong to which node, and what each zone has (mm/vmstat.c)."""

from __future__ import annotations

import bisect
from pathlib import Path

from thplab.mm.geometry import HPAGE_PMD_NR, HPAGE_PMD_ORDER
from thplab.observe.node_meminfo import cpus_of_node
from thplab.scenario.host_facts import HostFacts, NodeFacts, ZoneFacts

__all__ = ["NodeSpans", "read_host_facts", "read_node_spans"]

_USER_MEMORY = "Movable"
"""The highest zone that memory of a task may come from (GFP_HIGHUSER_MOVABLE)."""
_RECLAIMABLE = ("nr_inactive_file", "nr_active_file", "nr_slab_reclaimable")


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


class _Zone:
    """One zone's part of the file.

    Attributes:
        figures: by the file's words. pagesets: the limit of each CPU's own list. batch: what
            a CPU takes off the free lists at once.
        protection: lowmem_reserve by the zones of the node. of_node: the counters of its node, if it is the first with memory.
    """

    def __init__(self, node: int, name: str) -> None:
        self.node = node
        self.name = name
        self.figures: dict[str, int] = {}
        self.of_node: dict[str, int] = {}
        self.protection: list[int] = []
        self.pagesets: list[int] = []
        self.batch = 1


def read_host_facts(nodes: int, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> HostFacts:
    """What the first `nodes` nodes have now.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file lacks something, which the message names.
    """
    zones = _parse((proc / "zoneinfo").read_text(encoding="ascii"))
    whole = _whole_blocks((proc / "buddyinfo").read_text(encoding="ascii"))
    facts = []
    for nid in range(nodes):
        mine = [zone for zone in zones if zone.node == nid]
        used = tuple(_facts(zone, mine) for zone in mine if zone.figures.get("managed"))
        if not used:
            raise ValueError(f"/proc/zoneinfo has no zone with memory on node {nid}")
        # They stand with the first zone that has memory, and zones without any may come before it.
        counters = next((zone.of_node for zone in mine if zone.of_node), {})
        facts.append(
            NodeFacts(
                zones=used,
                whole=whole.get(nid, 0),
                reclaimable=sum(counters.get(name, 0) for name in _RECLAIMABLE),
                cpus=len(cpus_of_node(nid, sys)),
            )
        )
    return HostFacts(nodes=tuple(facts))


def _parse(text: str) -> list[_Zone]:
    zones: list[_Zone] = []
    in_node = in_pagesets = False
    for line in text.splitlines():
        words = line.replace(",", " ").split()
        if words[:1] == ["Node"]:
            zones.append(_Zone(int(words[1]), words[3]))
            in_node = in_pagesets = False
        elif not zones:
            continue
        elif words[:2] == ["per-node", "stats"]:
            in_node = True
        elif words[:1] == ["pages"]:
            in_node = False
            zones[-1].figures[words[1]] = int(words[2])
        elif words[:1] == ["protection:"]:
            zones[-1].protection = [int(word.strip("()")) for word in words[1:]]
        elif words[:1] == ["pagesets"]:
            in_pagesets = True
        elif len(words) == 2 and words[1].isdigit():
            name = words[0].rstrip(":")
            if in_pagesets:
                _limit(zones[-1], name, int(words[1]))
            else:
                (zones[-1].of_node if in_node else zones[-1].figures)[name] = int(words[1])
    return zones


def _limit(zone: _Zone, name: str, value: int) -> None:
    """Note a CPU's limit, which since 6.7 grows by itself, up to high_max; and its batch, which all have alike."""
    if name == "high":
        zone.pagesets.append(value)
    elif name == "high_max":
        zone.pagesets[-1] = value
    elif name == "batch":
        zone.batch = value


def _facts(zone: _Zone, of_node: list[_Zone]) -> ZoneFacts:
    names = [one.name for one in of_node]
    highest = names.index(_USER_MEMORY) if _USER_MEMORY in names else len(names) - 1
    try:
        reserve = zone.protection[highest]
        figures = {name: zone.figures[name] for name in ("managed", "free", "min", "low", "high")}
    except (LookupError, ValueError) as error:
        raise ValueError(
            f"/proc/zoneinfo: node {zone.node}, zone {zone.name} lacks {error}"
        ) from None
    return ZoneFacts(
        name=zone.name,
        reserve=reserve,
        pagesets=sum(zone.pagesets),
        batch=zone.batch,
        **figures,
    )


def _whole_blocks(text: str) -> dict[int, int]:
    """By node, the free base pages in blocks that hold a huge page."""
    whole: dict[int, int] = {}
    for line in text.splitlines():
        words = line.replace(",", " ").split()
        if words[:1] != ["Node"]:
            continue
        counts = [int(word) for word in words[4:]]
        order = int(HPAGE_PMD_ORDER)
        pages = sum(count << above for above, count in enumerate(counts[order:])) * int(
            HPAGE_PMD_NR
        )
        whole[int(words[1])] = whole.get(int(words[1]), 0) + pages
    return whole
