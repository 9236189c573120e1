# SPDX-License-Identifier: GPL-2.0-only
"""Small machines for tests, and what one usually does to them."""

from __future__ import annotations

from thplab import designs
from thplab.cpu.hook import Watcher
from thplab.cpu.list_head import ListHead, list_entries
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mempolicy import Mempolicy
from thplab.mm.mm_types import Folio, PteMap, Task, Vma

MIB = 1 << 20
LOWER = (1 << 256) - 1
UPPER = FULL_MASK & ~LOWER
HUGE = int(HPAGE_PMD_NR)

OOPSES = {("list_lru_v1", "disabled")}
"""Designs, and how the machine is booted, with which the first huge fault is an oops (B04)."""


def small_machine(
    design: str | None = "list_lru",
    nodes: int = 2,
    mebibytes: int = 128,
    memcg: str = "on",
    distances: list[list[int]] | None = None,
) -> Machine:
    """A machine with equal nodes; `design` None: without a queue."""
    queue = None if design is None else designs.load(design)
    return Machine([mebibytes * MIB] * nodes, queue, memcg, distances)


def start(machine: Machine, name: str = "task", path: str = "/job", adj: int = 0) -> Task:
    """A task in the cgroup, which is made if it is not there."""
    memcg = machine.memcg.by_path.get(path)
    return machine.start(name, memcg or machine.memcg.create(path), adj)


def bound(node: int) -> Mempolicy:
    """MPOL_BIND to one node."""
    return Mempolicy("bind", [node])


def mmap(
    machine: Machine,
    task: Task,
    huge: int,
    node: int = 0,
    name: str = "memory",
    thp: str = "default",
) -> Vma:
    """A region of `huge` huge pages bound to the node, not touched."""
    return machine.mmap(task, name, huge * HUGE, bound(node), thp)


def touched(
    machine: Machine,
    task: Task,
    huge: int,
    node: int = 0,
    name: str = "memory",
    mask: int = FULL_MASK,
) -> Vma:
    """The same, touched."""
    vma = mmap(machine, task, huge, node, name)
    for slot in range(huge):
        assert machine.memory.touch(task, vma, slot, mask, False)
    return vma


def halve(machine: Machine, vma: Vma) -> None:
    """Discard the upper half of each huge page: all are partially mapped then."""
    for slot in range(len(vma.slots)):
        machine.memory.zap(vma, slot, UPPER)


def halved(machine: Machine, task: Task, huge: int, node: int = 0, name: str = "memory") -> Vma:
    """Huge pages on the node whose upper halves are discarded."""
    vma = touched(machine, task, huge, node, name)
    halve(machine, vma)
    return vma


def folio_at(vma: Vma, slot: int) -> Folio:
    """The folio that the first entry of the slot points to."""
    here = vma.slots[slot]
    owner = here.owner if isinstance(here, PteMap) else here
    assert isinstance(owner, Folio)
    return owner


def event(machine: Machine, name: str) -> int:
    """A counter of /proc/vmstat."""
    return machine.vmstat.events[name]


def mthp(machine: Machine, name: str) -> int:
    """A counter of hugepages-2048kB/stats."""
    return machine.vmstat.mthp[9][name]


def fill(machine: Machine, task: Task, node: int, name: str = "pressure") -> bool:
    """Touch base pages bound to the node until somebody is killed. False if it was the task."""
    pages = machine.pages.nodes[node].managed
    vma = machine.mmap(task, name, pages, bound(node), "nohugepage")
    return all(
        machine.memory.touch(task, vma, slot, vma.slot_mask(slot), False)
        for slot in range(len(vma.slots))
    )


def entries(head: ListHead) -> list[ListHead]:
    """What is on a list, in order."""
    return list(list_entries(head))


def split(machine: Machine, folio: Folio) -> bool:
    """As a scanner does it: with the folio's lock and a reference."""
    folio.get()
    assert folio.trylock()
    done = machine.huge_memory.split_folio(folio)
    folio.unlock()
    machine.lru.folio_put(folio)
    return done


def cgroup(machine: Machine, path: str = "/job") -> MemCgroup:
    """A new cgroup."""
    return machine.memcg.create(path)


class FailingWatcher(Watcher):
    """Has the allocations of one kind fail, as often as asked."""

    def __init__(self, what: str, times: int = 1) -> None:
        super().__init__()
        self.what = what
        self.times = times
        self.asked: list[str] = []

    def fails(self, what: str) -> bool:
        self.asked.append(what)
        if what == self.what and self.times:
            self.times -= 1
            return True
        return False


class RecordingWatcher(Watcher):
    """Notes the warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)
