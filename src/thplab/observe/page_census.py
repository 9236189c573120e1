# SPDX-License-Identifier: GPL-2.0-only
"""Counts the pages of a range of a task's addresses: /proc/PID/pagemap and /proc/kpageflags.

Both files hold 64 bits for each page; the kernel's Documentation/admin-guide/mm/pagemap.rst describes the
bits. Only root sees page frame numbers.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

from thplab.mm.geometry import HPAGE_PMD_NR, HPAGE_PMD_SIZE, PAGE_SIZE
from thplab.observe.zoneinfo import NodeSpans
from thplab.scenario.observation import RegionFigures, RegionNode

__all__ = ["PageCensus", "PagesOfTask", "RangePages"]

_WORD = 8
_TABLE = struct.Struct(f"={HPAGE_PMD_NR}Q")
_NOTHING = bytes(_TABLE.size)

_PRESENT = 1 << 63
_SWAPPED = 1 << 62
_FRAME = (1 << 55) - 1

_KPF_COMPOUND_HEAD = 1 << 15
_KPF_COMPOUND_TAIL = 1 << 16
_KPF_THP = 1 << 22
_KPF_ZERO_PAGE = 1 << 24


class RangePages:
    """A huge page's aligned range, or a part of it: what each of its base pages is.

    Attributes:
        whole: (page frame of the head, index of the first page that maps it) of each whole huge page.
        base: (index in the range, page frame) of present base pages outside whole huge pages.
    """

    def __init__(self) -> None:
        self.whole: list[tuple[int, int]] = []
        self.base: list[tuple[int, int]] = []
        self.zero = 0
        self.swapped = 0
        self.absent = 0


class PagesOfTask:
    """Reads the pages of one task; a context manager.

    Args:
        pid: the task.
        proc: where procfs is mounted.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._pagemap = os.open(proc / str(pid) / "pagemap", os.O_RDONLY)
        self._flags = os.open(proc / "kpageflags", os.O_RDONLY)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._pagemap)
        os.close(self._flags)

    def _flags_of(self, pfn: int) -> int:
        data = os.pread(self._flags, _WORD, pfn * _WORD)
        return int.from_bytes(data, "little")

    def _is_whole_huge_page(self, head: int) -> bool:
        """Whether one folio spans the huge-page-sized, aligned frames that begin at `head`."""
        data = os.pread(self._flags, _TABLE.size, head * _WORD)
        if len(data) < _TABLE.size:
            return False
        flags = _TABLE.unpack(data)
        if not flags[0] & _KPF_THP or not flags[0] & _KPF_COMPOUND_HEAD:
            return False
        if flags[0] & _KPF_ZERO_PAGE:  # the huge zero page belongs to no task
            return False
        return all(flag & _KPF_COMPOUND_TAIL for flag in flags[1:])

    def range_at(self, address: int, pages: int = HPAGE_PMD_NR) -> RangePages:
        """The pages of one range.

        Args:
            address: of its first base page.
            pages: how many base pages to read, none beyond the huge page's range.
        """
        found = RangePages()
        data = os.pread(self._pagemap, pages * _WORD, address // PAGE_SIZE * _WORD)
        if data == _NOTHING[: len(data)]:
            found.absent = pages
            return found
        whole: dict[int, bool] = {}
        for index, (entry,) in enumerate(struct.iter_unpack("=Q", data)):
            if entry & _PRESENT:
                pfn = entry & _FRAME
                if not pfn:
                    raise PermissionError(
                        "pagemap hides page frame numbers from this user; run as root"
                    )
                self._present(found, whole, index, pfn)
            elif entry & _SWAPPED:
                found.swapped += 1
            else:
                found.absent += 1
        found.absent += pages - len(data) // _WORD
        return found

    def _present(self, found: RangePages, whole: dict[int, bool], index: int, pfn: int) -> None:
        head = pfn - pfn % HPAGE_PMD_NR
        if head not in whole:
            whole[head] = self._is_whole_huge_page(head)
            if whole[head]:
                found.whole.append((head, index))
        if whole[head]:
            return
        if self._flags_of(pfn) & _KPF_ZERO_PAGE:
            found.zero += 1
        else:
            found.base.append((index, pfn))


class PageCensus:
    """Counts a task's regions by node.

    Args:
        spans: where each node's memory lies.
        nodes: how many nodes the host has; their ids are 0 to nodes - 1.
        proc: where procfs is mounted.
    """

    def __init__(self, spans: NodeSpans, nodes: int, proc: Path = Path("/proc")) -> None:
        self._spans = spans
        self._nodes = nodes
        self._proc = proc

    def region(self, pid: int, address: int, size: int) -> RegionFigures:
        """The figures of one region.

        Args:
            pid: the task that has it.
            address: its first byte, aligned to a huge page.
            size: bytes.

        Raises:
            OSError: the task has ended.
            PermissionError: the kernel hides page frame numbers from this user.
        """
        nodes = [RegionNode(huge=0, split=0, base=0) for _ in range(self._nodes)]
        figures = RegionFigures(nodes=nodes, zero=0, swapped=0, absent=0)
        with PagesOfTask(pid, self._proc) as pages:
            for offset in range(0, size, HPAGE_PMD_SIZE):
                length = min(HPAGE_PMD_SIZE, size - offset)
                found = pages.range_at(address + offset, length // PAGE_SIZE)
                self._add(figures, found)
        return figures

    def _add(self, figures: RegionFigures, found: RangePages) -> None:
        figures.zero = (figures.zero or 0) + found.zero
        figures.swapped = (figures.swapped or 0) + found.swapped
        figures.absent = (figures.absent or 0) + found.absent
        for head, _index in found.whole:
            node = figures.nodes[self._spans.node_of(head)]
            node.huge = (node.huge or 0) + 1
        for _index, pfn in found.base:
            node = figures.nodes[self._spans.node_of(pfn)]
            node.base = (node.base or 0) + 1
        if found.base and not found.whole:
            node = figures.nodes[self._spans.node_of(found.base[0][1])]
            node.split = (node.split or 0) + 1
