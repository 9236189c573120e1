# SPDX-License-Identifier: GPL-2.0-only
"""What the nodes of a running kernel really had when a scenario began.

A kernel keeps a part of each node for itself, and its watermarks follow from its zones. So a scenario that
fills a node agrees with the model only if the model knows both. The agent reads them, a Run carries them
(:attr:`thplab.scenario.observation.Run.host`), and the model starts with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from thplab.errors import InputError
from thplab.mm.geometry import HPAGE_PMD_NR

__all__ = ["HostFacts", "NodeFacts", "ZoneFacts", "load_host_facts"]

_REMEDY = (
    "give the JSON that `thplab run`, `compare` or `verify` wrote about a kernel (--format json)"
)


Pages = Annotated[int, Meta(ge=0, le=1 << 40)]
"""Base pages: up to 4096T, more than a host has."""


class ZoneFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One zone (/proc/zoneinfo), in base pages.

    Attributes:
        managed, free: all of it, and what lies on the free lists, those of the CPUs not counted.
        min, low, high: the watermarks, with the boost.
        reserve: what an allocation for user memory must leave beyond the watermark (lowmem_reserve).
        pagesets: what the CPUs may keep on their own free lists together.
        batch: what a CPU takes off the zone's free lists at once.
    """

    name: str
    managed: Pages
    free: Pages
    min: Pages
    low: Pages
    high: Pages
    reserve: Pages
    pagesets: Pages
    batch: Pages = 1

    def __post_init__(self) -> None:
        if self.free > self.managed:
            raise ValueError(f"zone {self.name} has {self.free} pages free of {self.managed}")


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One node: its zones that have memory.

    Attributes:
        whole: free base pages in blocks of at least a huge page (/proc/buddyinfo).
        reclaimable: base pages of files and of slab that reclaim could free.
        cpus: how many CPUs it has.
    """

    zones: Annotated[tuple[ZoneFacts, ...], Meta(min_length=1)]
    whole: Pages
    reclaimable: Pages
    cpus: Annotated[int, Meta(ge=0, le=1 << 20)]

    @property
    def managed(self) -> int:
        """Base pages in all."""
        return sum(zone.managed for zone in self.zones)

    @property
    def free(self) -> int:
        """Base pages on the free lists."""
        return sum(zone.free for zone in self.zones)

    @property
    def largest(self) -> ZoneFacts:
        """The zone with most memory."""
        return max(self.zones, key=lambda zone: zone.managed)

    def left_at(self, mark: Literal["min", "low", "high"]) -> int:
        """The free base pages at which no zone gives anything above this watermark any more.

        A zone that has less free than it must leave keeps all of that.
        """
        return sum(min(zone.free, getattr(zone, mark) + zone.reserve) for zone in self.zones)

    @property
    def balanced(self) -> int:
        """The free base pages at which kswapd stops: one of the zones has reached its high watermark.

        That is the largest zone, because it is the one from which the scenario's memory comes first.
        """
        largest = self.largest
        return self.left_at("low") + max(0, min(largest.free, largest.high) - largest.low)

    def with_more_free(self, pages: int, above_min: int) -> NodeFacts:
        """The same node with other figures of the zone that has most.

        Args:
            pages: so many more are free, or fewer.
            above_min: so many more can be taken between the low and the min watermark, or fewer.
        """
        largest = self.largest
        free = min(max(0, largest.free + pages), largest.managed)
        changed = free - largest.free
        least = min(max(0, largest.min - above_min), largest.low)
        return msgspec.structs.replace(
            self,
            zones=tuple(
                msgspec.structs.replace(zone, free=free, min=least) if zone is largest else zone
                for zone in self.zones
            ),
            whole=min(max(0, self.whole + changed), self.free + changed),
        )

    @property
    def kept(self) -> int:
        """Base pages that the CPUs may keep on their lists."""
        return sum(zone.pagesets for zone in self.zones)

    @property
    def pagesets(self) -> int:
        """The same with a huge page for each of the node's CPUs."""
        return self.kept + self.cpus * int(HPAGE_PMD_NR)


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of one host, in the order of their ids.

    Attributes:
        charged: by cgroup, the base pages that its tasks are charged for themselves (memory.current).
        ticks: the model supposes that before each step from this one on the CPUs fold their counters, as they do once
            in a second, and each task's process takes a page of its own by the task's policy. No kernel says this.
        reclaims: the model supposes that reclaim finds clean all of the files and slab that it could free, and what
            the CPUs keep. No kernel says this.
        second_victims: how often the OOM killer takes a second task (:class:`thplab.mm.oom_kill.Oom`). What a
            kernel decides by its timing, only the model can be told: this, and the next two.
        stock_empty: no CPU has charged in advance (:class:`thplab.mm.charge.Charges`).
        misses_madvise: khugepaged does not get the lock (:class:`thplab.mm.khugepaged.Khugepaged`).
    """

    nodes: tuple[NodeFacts, ...]
    charged: dict[str, Pages] = {}
    ticks: Annotated[int, Meta(ge=0)] | None = None
    reclaims: bool = False
    second_victims: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0
    stock_empty: bool = False
    misses_madvise: bool = False


def load_host_facts(path: str | Path, scenario: str = "") -> HostFacts:
    """The facts in a result that thplab wrote as JSON.

    Args:
        path: the file.
        scenario: of a result with several scenarios, the one with this name.

    Raises:
        InputError: the file cannot be read, or no kernel's facts are in it.
    """
    try:
        content = msgspec.json.decode(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; {_REMEDY}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is no JSON: {error}; {_REMEDY}") from None
    found = [one for one in _columns(content) if isinstance(one, dict) and one.get("host")]
    named = [one for one in found if one.get("scenario") == scenario]
    if not found:
        raise InputError(f"{path}: it does not say what nodes a kernel had; {_REMEDY}")
    try:
        return msgspec.convert((named or found)[0]["host"], HostFacts)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{path}: the facts about the host are wrong: {error}; {_REMEDY}"
        ) from None


def _columns(content: object) -> list[object]:
    """The columns of a comparison, or the verifications of verify."""
    if isinstance(content, dict):
        columns = content.get("columns")
        return columns if isinstance(columns, list) else []
    return content if isinstance(content, list) else []
