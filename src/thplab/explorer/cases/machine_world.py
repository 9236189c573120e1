# SPDX-License-Identifier: GPL-2.0-only
"""A small machine as the world of a case: cgroups, huge pages that are queued, and who does what to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from thplab.cpu.hook import H
from thplab.cpu.list_head import ListHead
from thplab.explorer.core_check import Case, CheckFailed, World
from thplab.mm.deferred_split import DeferredSplitQueue
from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import Folio, Task, Vma
from thplab.mm.shrinker import ShrinkControl
from thplab.mm.vmscan import SWAP_CLUSTER_MAX, ScanControl

__all__ = ["UPPER_HALF", "Design", "Lanes", "MachineCase", "MachineWorld", "Setup"]

Design = Callable[[Machine], DeferredSplitQueue]
Lanes = Sequence[Callable[[], None]]

UPPER_HALF = FULL_MASK & ~((1 << 256) - 1)
NODE_SIZE = 32 << 20


class MachineWorld(World):
    """One machine, and what its CPUs do.

    Args:
        design: of the queue. boot: "on", "nokmem" or "disabled". nodes: how many.

    Attributes:
        machine: the machine.
        cgroup: "/c", the cgroup that most cases are about; it has no task, so it can be removed.
        root: the root cgroup.
        lanes: the programs; set by the case.
        huge: the regions made so far, each with one huge page.
        folios: their huge pages, in the same order.
    """

    def __init__(self, design: Design, boot: str = "on", nodes: int = 1) -> None:
        self.machine = Machine([NODE_SIZE] * nodes, design, boot)
        # A huge page is queued when a case unmaps part of it, not at its first fault.
        self.machine.huge_memory.thp.shrink_underused = False
        self.root = self.machine.memcg.root
        self.cgroup = self.root
        if boot != "disabled":
            self.cgroup = self.machine.memcg.create("/c")
        self.lanes: Lanes = ()
        self.huge: list[Vma] = []
        self.folios: list[Folio] = []
        self.held: dict[Folio, int] = {}
        self.task: Task = self.machine.start("task", self.root)

    @property
    def queue(self) -> DeferredSplitQueue:
        """The deferred split queue."""
        return self.machine.deferred_split

    # Setting up

    def map_huge(self, memcg: MemCgroup | None = None) -> Vma:
        """A region of one huge page, charged to the cgroup, all of it written with data."""
        machine = self.machine
        machine.move_task(self.task, self.cgroup if memcg is None else memcg)
        vma = machine.mmap(self.task, f"region {len(self.huge)}", int(HPAGE_PMD_NR))
        machine.memory.touch(self.task, vma, 0, FULL_MASK, zeros=False)
        machine.move_task(self.task, self.root)
        folio = vma.slots[0]
        assert isinstance(folio, Folio), "the machine has room for a huge page"
        self.huge.append(vma)
        self.folios.append(folio)
        return vma

    def map_queued(self, memcg: MemCgroup | None = None) -> Vma:
        """The same, with the upper half unmapped: its huge page is queued."""
        vma = self.map_huge(memcg)
        self.unmap_half(vma)
        return vma

    def nest(self) -> MemCgroup:
        """Make /c/d the cgroup that the case is about: its parent has shrinker bits. Returns the parent, /c."""
        parent = self.cgroup
        self.cgroup = self.machine.memcg.create("/c/d")
        return parent

    def hold(self, folio: Folio) -> None:
        """Take a reference, as get_user_pages() would."""
        folio.get()
        self.held[folio] = self.held.get(folio, 0) + 1

    # What a CPU can do

    def unmap_half(self, vma: Vma) -> None:
        """MADV_DONTNEED of the upper half: the huge page becomes partially mapped."""
        self.machine.memory.zap(vma, 0, UPPER_HALF)

    def unmap(self, vma: Vma) -> None:
        """MADV_DONTNEED of all: the final put, unless another reference is left."""
        self.machine.memory.zap(vma, 0, FULL_MASK)

    def put(self, folio: Folio) -> None:
        """Drop a reference taken by :meth:`hold`."""
        self.held[folio] -= 1
        self.machine.lru.folio_put(folio)

    def rmdir(self) -> None:
        """Remove /c: it dies, a grace period passes, it goes offline."""
        self.machine.memcg.rmdir(self.cgroup)

    def scanner(self, nr: int = 4, memcg: MemCgroup | None = None) -> Callable[[], None]:
        """A lane that calls scan_objects() once; it holds a reference on the cgroup, as reclaim does."""
        target = self._pinned(memcg)

        def scan() -> None:
            target.css_tryget()
            self.queue.scan_objects(ShrinkControl(0, target, nr))
            self._unpin(target)

        return scan

    def counter(self, memcg: MemCgroup | None = None) -> Callable[[], None]:
        """A lane that calls count_objects() once."""
        target = self._pinned(memcg)

        def count() -> None:
            target.css_tryget()
            self.queue.count_objects(ShrinkControl(0, target))
            self._unpin(target)

        return count

    def reclaimer(self, memcg: MemCgroup | None = None) -> Callable[[], None]:
        """A lane that calls shrink_slab() for one cgroup on node 0, at priority 0."""
        target = self._pinned(memcg)

        def reclaim() -> None:
            target.css_tryget()
            self.machine.shrinkers.shrink_slab(0, target, 0)
            self._unpin(target)

        return reclaim

    def node_reclaimer(self) -> Callable[[], None]:
        """A lane that calls shrink_node() for all cgroups on node 0, at priority 0."""

        def reclaim() -> None:
            sc = ScanControl(None, SWAP_CLUSTER_MAX)
            sc.priority = 0
            self.machine.vmscan.shrink_node(0, sc)

        return reclaim

    def _unpin(self, target: MemCgroup) -> None:
        target.css_put()
        target.css_put()

    def _pinned(self, memcg: MemCgroup | None) -> MemCgroup:
        """The cgroup, kept alive until the lane has a reference of its own."""
        target = self.cgroup if memcg is None else memcg
        target.get()
        return target

    def split(self, folio: Folio) -> None:
        """split_folio() by a caller that has a reference from :meth:`hold`, which it drops afterwards."""
        if folio.trylock():
            if folio.order:
                self.machine.huge_memory.split_folio(folio)
            folio.unlock()
        self.put(folio)

    def migrate(self, vma: Vma, nid: int) -> None:
        """move_pages(2) of what the region has."""
        self.machine.migration.move_slot(vma, 0, FULL_MASK, nid)

    # The engine's side

    def programs(self) -> list[Callable[[], None]]:
        """The case's lanes."""
        return list(self.lanes)

    def quiescent(self) -> None:
        """Everything that the machine keeps is counted again."""
        pins = [folio for folio, count in self.held.items() for _ in range(count)]
        wrong = check(self.machine, pins)
        if wrong:
            raise CheckFailed("invariants", wrong[0])

    def state(self) -> object:
        """Queue lengths, and each huge page's references, flags and place."""
        folios = tuple(
            (folio.refcount, folio.flags, folio.order, folio.next is not None, folio.is_freed())
            for folio in self.folios
        )
        return folios, self.machine.memcg.root.memory.usage

    def shared_lists(self) -> list[ListHead] | None:
        """The design's lists, if it shows them."""
        lists = self.queue.lists()
        return None if lists is None else [one.head for one in lists]

    def teardown(self) -> None:
        """The machine's rings and cycles."""
        self.machine.teardown()
        self.folios = []
        self.huge = []
        self.held = {}
        self.lanes = ()


Setup = Callable[[MachineWorld], Lanes]


class MachineCase(Case):
    """A case on a small machine.

    Args:
        name, summary: for people.
        setup: builds the world further, and returns its lanes: CPUs, then handlers.
        cpus: how many of the lanes are CPUs' programs.
        handlers: the CPU of each handler.
        boot, nodes: of the machine.
    """

    def __init__(
        self,
        name: str,
        summary: str,
        setup: Setup,
        *,
        cpus: int = 2,
        handlers: Sequence[int] = (),
        boot: str = "on",
        nodes: int = 1,
    ) -> None:
        super().__init__(name, cpus)
        self.summary = summary
        self.setup = setup
        self.handlers = list(handlers)
        self.boot = boot
        self.nodes = nodes
        self.design: Design | None = None

    def on(
        self,
        design: Design,
        design_name: str | None = "",
        *,
        name: str = "",
        setup: Setup | None = None,
    ) -> MachineCase:
        """The same case on a design, which has that name on the command line; under another name or setup, if given."""
        case = MachineCase(
            name or self.name,
            self.summary,
            setup or self.setup,
            cpus=int(self.cpus),
            handlers=self.handlers,
            boot=self.boot,
            nodes=self.nodes,
        )
        case.max_steps = self.max_steps
        case.design = design
        case.design_name = design_name
        return case

    def build(self) -> MachineWorld:
        """The machine as the CPUs find it. Setting up passes no scheduling point."""
        design = self.design
        assert design is not None, "choose a design with on()"
        assert not H.on
        world = MachineWorld(design, self.boot, self.nodes)
        with world.machine.entered():
            world.lanes = self.setup(world)
        return world
