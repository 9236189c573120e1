# SPDX-License-Identifier: GPL-2.0-only
"""khugepaged: the daemon that goes through registered address spaces and collapses what it can (mm/khugepaged.c, 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mypy_extensions import i64, mypyc_attr

from thplab.mm.collapse import (
    SCAN_ALLOC_HUGE_PAGE_FAIL,
    SCAN_FAIL,
    SCAN_SUCCEED,
    Collapse,
    CollapseControl,
)
from thplab.mm.geometry import HPAGE_PMD_NR
from thplab.mm.mm_types import Task, Vma, VmaPiece
from thplab.mm.vma import piece_at

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Khugepaged"]

LOWEST: Final[i64] = -(1 << 62)
"""Below every address."""
NO_TIMEOUT: Final[i64] = -1


@mypyc_attr(allow_interpreted_subclasses=True)
class Khugepaged(Collapse):
    """The daemon of one machine.

    A task has no memory here but its regions; in a kernel each other mapping of the process counts 1 in a pass.

    Attributes:
        awake: whether it runs at all; passes happen when time goes by (see `elapse`), and when a step
            wakes it (see `settle`).
        pages_to_scan: how far a pass goes, in base pages.
        alloc_sleep_millisecs: how long it waits, once in a pass, when there was no free huge page.
        mm_head: the address spaces, each in the form of its task, in the order that they registered.
        mm_slot: the one that the cursor is in; None: a round has not begun.
        address: the next address there, in base pages.
        full_scans: rounds through all address spaces. pages_collapsed: huge pages made.
        clock: milliseconds that have gone by.
        misses_madvise: the pass that an madvise(2) wakes passes its address space over, because madvise(2) holds
            mmap_lock still, and khugepaged does not wait for it.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.awake: bool = False
        self.pages_to_scan: i64 = HPAGE_PMD_NR * 8
        self.alloc_sleep_millisecs: i64 = 60000
        self.mm_head: list[Task] = []
        self.mm_slot: Task | None = None
        self.address: i64 = LOWEST
        self.full_scans: i64 = 0
        self.pages_collapsed: i64 = 0
        self.clock: i64 = 0
        self.misses_madvise: bool = False
        self._missed: Task | None = None
        self._scan_sleep_millisecs: i64 = 10000
        self._cc: CollapseControl = CollapseControl(True)
        self._due: i64 = NO_TIMEOUT
        self._woken: bool = False
        self._daemon: bool = True
        self._in_pass: bool = False
        self._pass_through_head: i64 = 0
        self._may_wait: bool = True

    # Registration

    def hugepage_enabled(self) -> bool:
        """hugepage_enabled(): some memory may have huge pages."""
        return self.machine.huge_memory.thp.enabled != "never"

    def collapse_possible(self, vma: Vma, piece: VmaPiece) -> bool:
        """collapse_possible(): it may have huge pages, one fits in, and it was touched (anon_vma)."""
        first = -(-piece.first // HPAGE_PMD_NR)
        return (
            self.machine.huge_memory.thp_allowed(vma)
            and first < piece.end // HPAGE_PMD_NR
            and piece.anon != 0
        )

    def khugepaged_enter_vma(self, task: Task, vma: Vma, page: i64) -> None:
        """khugepaged_enter_vma(): the VMA that has this base page may make its address space one to scan."""
        if vma.mm.vm_hugepage or not self.hugepage_enabled():
            return
        at = piece_at(vma, page)
        if at < len(vma.pieces) and self.collapse_possible(vma, vma.pieces[at]):
            self.khugepaged_enter(task)

    def khugepaged_enter(self, task: Task) -> None:
        """__khugepaged_enter(): behind the cursor. The first one wakes khugepaged, if that sleeps for want of work."""
        task.mm.vm_hugepage = True
        if not self.mm_head and self._due == NO_TIMEOUT:
            self._woken = True
        self.mm_head.append(task)

    def khugepaged_enter_madvise(self, task: Task, vma: Vma, page: i64) -> None:
        """Part of madvise_update_vma() (mm/madvise.c): khugepaged_enter_vma() with mmap_lock held for writing."""
        woken = self._woken
        self.khugepaged_enter_vma(task, vma, page)
        if self._woken and not woken and self.misses_madvise:
            self._missed = task

    def khugepaged_fork(self, parent: Task, child: Task) -> None:
        """khugepaged_fork() (include/linux/khugepaged.h): a child of a registered task is registered."""
        if parent.mm.vm_hugepage:
            self.khugepaged_enter(child)

    def khugepaged_exit(self, task: Task) -> None:
        """khugepaged_exit() (include/linux/khugepaged.h): the one that the cursor is in stays until khugepaged gets there."""
        if task.mm.vm_hugepage and self.mm_slot is not task:
            self.mm_head.remove(task)

    def _test_exit(self, task: Task) -> bool:
        """collapse_test_exit(): the task has ended."""
        return self.machine.tasks.get(task.name) is not task

    # Time

    @property
    def scan_sleep_millisecs(self) -> i64:
        """How long it sleeps between two passes. To write it wakes khugepaged."""
        return self._scan_sleep_millisecs

    @scan_sleep_millisecs.setter
    def scan_sleep_millisecs(self, milliseconds: i64) -> None:
        self._scan_sleep_millisecs = milliseconds
        self._woken = True

    def elapse(self, milliseconds: i64) -> None:
        """khugepaged(): time goes by; as many passes as fit, each after its sleep."""
        self.clock += milliseconds
        self.settle()
        left = milliseconds
        while 0 <= self._due <= left:
            left -= self._due
            self._run()
        if self._due != NO_TIMEOUT:
            self._due -= left

    def settle(self) -> None:
        """start_stop_khugepaged(): what has happened since starts, stops or wakes it; a pass takes no time."""
        if not self.awake:
            return
        if not self.hugepage_enabled():
            if self._daemon:
                self._stop()
            return
        if not self._daemon:
            self._daemon = True
            self._woken = True
        if self._woken:
            self._run()

    def _stop(self) -> None:
        """Part of khugepaged(): its end. The cursor is lost."""
        slot = self.mm_slot
        self.mm_slot = None
        if slot is not None and self._test_exit(slot):
            self.mm_head.remove(slot)
        self._daemon = False
        self._in_pass = False
        self._due = NO_TIMEOUT

    def _run(self) -> None:
        """khugepaged_wait_work(): a pass, or the rest of one; and how long it sleeps after that."""
        self._woken = False
        if not self._in_pass:
            self._cc.progress = 0
            self._pass_through_head = 0
            self._may_wait = True
        self._in_pass = self.khugepaged_do_scan()
        if self._in_pass:
            self._due = max(self.alloc_sleep_millisecs, 1)
        elif self.khugepaged_has_work():
            self._due = max(self._scan_sleep_millisecs, 1)
        else:
            self._due = NO_TIMEOUT

    # Passes

    def khugepaged_has_work(self) -> bool:
        """khugepaged_has_work(): an address space has registered."""
        return bool(self.mm_head) and self.hugepage_enabled()

    def khugepaged_do_scan(self) -> bool:
        """khugepaged_do_scan(): pages_to_scan further, but not through the head of the list twice.

        Returns:
            True if it has to wait for a free huge page, and goes on after that (khugepaged_alloc_sleep()).
        """
        cc = self._cc
        while True:
            if self.mm_slot is None:
                self._pass_through_head += 1
            if not self.khugepaged_has_work() or self._pass_through_head >= 2:
                return False
            result = self.collapse_scan_mm_slot()
            if cc.progress >= self.pages_to_scan:
                return False
            if result == SCAN_ALLOC_HUGE_PAGE_FAIL:
                if not self._may_wait:
                    return False
                self._may_wait = False
                return True

    def collapse_scan_mm_slot(self) -> str:
        """collapse_scan_mm_slot(): the address space at the cursor, up to the first huge page that was asked for."""
        task = self.mm_slot
        if task is None:
            task = self.mm_head[0]
            self.mm_slot = task
            self.address = LOWEST
        missed = self._missed is task
        self._missed = None
        if not missed:
            self._cc.progress += 1
        gone = self._test_exit(task)
        result = SCAN_FAIL
        finished = True
        if not gone and not missed:
            finished, result = self._scan_vmas(task)
        if gone or finished:
            after = self.mm_head.index(task) + 1
            if after < len(self.mm_head):
                self.mm_slot = self.mm_head[after]
                self.address = LOWEST
            else:
                self.mm_slot = None
                self.full_scans += 1
            if gone:  # collect_mm_slot()
                self.mm_head.remove(task)
        return result

    def _scan_vmas(self, task: Task) -> tuple[bool, str]:
        """Part of collapse_scan_mm_slot(): VMA by VMA, from the cursor on, in the order of addresses.

        Returns:
            Whether it came to the end, and the last result.
        """
        result = SCAN_FAIL
        cc = self._cc
        for vma in reversed(list(task.mm.vmas.values())):
            for piece in vma.pieces:
                if vma.vm_start + piece.end <= self.address:
                    continue
                hstart = vma.vm_start - (-piece.first // HPAGE_PMD_NR) * HPAGE_PMD_NR
                hend = vma.vm_start + piece.end // HPAGE_PMD_NR * HPAGE_PMD_NR
                if not self.collapse_possible(vma, piece) or self.address > hend:
                    cc.progress += 1
                    continue
                self.address = max(self.address, hstart)
                while self.address < hend:
                    slot = (self.address - vma.vm_start) // HPAGE_PMD_NR
                    result = self.collapse(task, vma, slot, cc)
                    if result == SCAN_SUCCEED:
                        self.pages_collapsed += 1
                    self.address += HPAGE_PMD_NR
                    if cc.lock_dropped or cc.progress >= self.pages_to_scan:
                        return False, result
        return True, result
