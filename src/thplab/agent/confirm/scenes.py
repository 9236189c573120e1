# SPDX-License-Identifier: GPL-2.0-only
"""The two findings that can be seen without building a kernel, each as it is and with its window held open."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from thplab.agent.cgroups import Hierarchy
from thplab.agent.confirm.sight import Sight, Telling
from thplab.agent.confirm.window import Hold, Window, named_process
from thplab.agent.system_calls import move_pages
from thplab.agent.task import Task
from thplab.agent.tunables import THP, Tunables
from thplab.mm.geometry import HPAGE_PMD_SIZE, PAGE_SIZE
from thplab.observe.mthp import read_mthp
from thplab.observe.node_meminfo import cpus_of_node, online_nodes
from thplab.observe.shrinker_debugfs import ShrinkerDebugfs
from thplab.observe.vmstat import fold_per_cpu_counters, read_vmstat
from thplab.scenario.policies import Policy
from thplab.scenario.tunables import CgroupSettings

__all__ = ["SCENES", "Scene", "symbol"]

_CGROUP = "/thplab-confirm"
_SIZE = int(HPAGE_PMD_SIZE)
_HALF = _SIZE // 2
_PMD = f"{_SIZE >> 10}kB"
_DONTNEED = 4
_PATIENCE = 2.0
_NO_PLACE = (errno.EILSEQ, errno.EINVAL)
"""No instruction begins at an offset, or the kernel itself rewrites what is there (a static key)."""
_SHORT_PATIENCE = 1.0
"""Where the scanner holds the queue's lock, the unmap waits for it, and the scanner for the unmap, until this is over."""


class Scene:
    """One task with one huge page at a time, on node 0, and the shrinker's files.

    Args:
        base: the cgroup below which it makes its own.
        tunables: set what it needs.
        shrinker: the deferred split shrinker.
    """

    def __init__(self, base: Path, tunables: Tunables, shrinker: ShrinkerDebugfs) -> None:
        self.shrinker = shrinker
        self.own_cpu, self.other_cpu = (min(cpus_of_node(node)) for node in (0, 1))
        tunables.set(THP / "enabled", "always")
        # A huge page of which at most 102 base pages have data is underused.
        tunables.set(THP / "khugepaged/max_ptes_none", 409)
        if (THP / "shrink_underused").exists():
            tunables.set(THP / "shrink_underused", 1)
        os.sched_setaffinity(0, {self.own_cpu})
        self._nodes = len(online_nodes())
        self._hierarchy = Hierarchy(base)
        self._hierarchy.make({_CGROUP: CgroupSettings()})
        self.inode = self._hierarchy.inode(_CGROUP)
        self.task = Task.start("victim", [], 0)
        self._hierarchy.attach(_CGROUP, self.task.pid)
        self.address = 0

    def renew(self, pages: int) -> None:
        """A new huge page in place of the last, of which the first `pages` base pages have data."""
        if self.address:
            self.task.call("munmap", self.address, _SIZE)
        self.address, _ = self.task.map_nameless(_SIZE)
        self.task.mbind(self.address, _SIZE, Policy(mode="bind", nodes=(0,)))
        self.task.touch(self.address, pages * PAGE_SIZE, 1)

    def scan(self) -> None:
        """Have the shrinker scan the cgroup on each node."""
        for node in range(self._nodes):
            self.shrinker.scan(self.inode, node, 10)

    def tell(self, pages: int, meet: Callable[[], None]) -> Telling:
        """The figures around what `meet` does with a new huge page."""
        self.renew(pages)
        before, split = self._queued(), _split()
        meet()
        after, meanwhile = self._queued(), _split()
        flagged = read_mthp().get(_PMD, {}).get("nr_anon_partially_mapped", 0)
        self.scan()
        return Telling(
            queued_before=before,
            queued_after=after,
            partially_mapped=flagged,
            split_meanwhile=meanwhile - split,
            split_by_scan=_split() - meanwhile,
        )

    def _queued(self) -> list[int]:
        return self.shrinker.counts().get(self.inode, [0] * self._nodes)[: self._nodes]

    def close(self) -> None:
        """End the task, and remove the cgroup."""
        self.task.kill()
        self._hierarchy.remove_all()


def _split() -> int:
    fold_per_cpu_counters()
    return read_vmstat().get("thp_split_page", 0)


def symbol(function: str, proc: Path = Path("/proc")) -> tuple[str, int]:
    """The name under which the kernel has a function, which a compiler may have given a suffix, and its length.

    The length goes up to the next symbol.

    Raises:
        OSError: there is none, or it is inlined everywhere.
    """
    text = (proc / "kallsyms").read_text(encoding="ascii", errors="replace")
    lines = [line.split() for line in text.splitlines()]
    for address, _, name, *module in lines:
        if not module and (name == function or name.startswith(f"{function}.constprop.")):
            start = int(address, 16)
            return name, min(end for words in lines if (end := int(words[0], 16)) > start) - start
    raise OSError(
        errno.ENOENT, f"this kernel has no function {function}() of its own to hold a task at"
    )


def place_lost_by_migration(scene: Scene) -> Sight:
    """Move a huge page while a scanner has it off all lists.

    The mover has the folio's lock before the scanner begins, because move_pages(2) first waits for work on each CPU.
    The scanner looks whether the huge page is underused. The mover has looked at the folio's list, and is about to
    compare its references with what it expects.
    """
    at_lock, at_scan, at_move = range(3)
    holds = (
        Hold("d3move", symbol("try_to_migrate")[0], until=at_scan),
        Hold("d3scan", symbol("memcmp_pages")[0], until=at_move),
        Hold("d3move", symbol("__migrate_folio")[0]),
    )

    def move() -> None:
        move_pages(scene.task.pid, [scene.address], 1)

    without = scene.tell(1, move)
    with Window(holds, _PATIENCE) as window:

        def meet() -> None:
            with window.opened(), named_process("d3move", scene.other_cpu, move) as mover:
                if window.arrived(at_lock, mover):
                    with named_process("d3scan", scene.own_cpu, scene.scan) as scanner:
                        scanner.join()
                window.go_on()
                mover.join()

        held = scene.tell(1, meet)
        return Sight(
            finding="place-lost-by-migration",
            kernel=os.uname().release,
            place="memcmp_pages() and __migrate_folio()",
            without=without,
            held=held if window.held_all else None,
        )


def unmap_lost_by_scan(scene: Scene) -> Sight:
    """Unmap half of a huge page that a scan has looked at for the last time.

    The window lies between two instructions of deferred_split_scan(), which calls no function there. So the
    scanner is held at each instruction of that function in turn, until the huge page is lost.
    """
    function, length = symbol("deferred_split_scan")
    pages = _SIZE // PAGE_SIZE
    place, held = "each instruction of deferred_split_scan() in turn", None

    def unmap() -> None:
        scene.task.call("madvise", scene.address + _HALF, _HALF, _DONTNEED)

    def scan_and_unmap() -> None:
        scene.scan()
        unmap()

    without = scene.tell(pages, scan_and_unmap)
    with Window([Hold("f1scan", function)], _SHORT_PATIENCE) as window:

        def meet() -> None:
            with named_process("f1scan", scene.other_cpu, scene.scan) as scanner:
                if window.arrived(0, scanner):
                    unmap()
                    window.go_on()
                scanner.join()

        for offset in range(length):
            try:
                with window.opened(offset):
                    told = scene.tell(pages, meet)
            except OSError as error:
                if error.errno in _NO_PLACE:
                    continue
                raise
            if window.held_all:
                held = told
                if told.lost:
                    place = f"deferred_split_scan()+{offset:#x}"
                    break
    return Sight(
        finding="unmap-lost-by-scan",
        kernel=os.uname().release,
        place=place,
        without=without,
        held=held,
    )


SCENES: dict[str, Callable[[Scene], Sight]] = {
    "place-lost-by-migration": place_lost_by_migration,
    "unmap-lost-by-scan": unmap_lost_by_scan,
}
