# SPDX-License-Identifier: GPL-2.0-only
"""The operations that are timed, on all folios of a machine, one after the other.

The same source runs compiled, in one unit with the model, and interpreted. reference.c does the
same, step by step; the counters at the end are equal.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import perf_counter_ns
from typing import Final

from mypy_extensions import i64

from thplab.cpu.list_head import ListHead, list_del_init
from thplab.designs.list_lru import DeferredSplitIsolate, ListLruQueue
from thplab.mm.geometry import HPAGE_PMD_NR, HPAGE_PMD_ORDER, PAGE_SIZE
from thplab.mm.gfp import GFP_TRANSHUGE_LIGHT
from thplab.mm.list_lru import ListLru
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import Folio
from thplab.mm.rmap import MigrationEntry, Rmap

__all__ = ["Round"]

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


class UnmapOnly(Rmap):
    """The folios here are in no page table: reference.c has none. What is left of unmap_folio() is the reference."""

    def try_to_migrate(
        self,
        folio: Folio,
        split_pmd: bool,  # noqa: ARG002 -- the name that it overrides
    ) -> list[MigrationEntry]:
        """try_to_migrate(): the one page that counts as mapped."""
        folio.mapped = 0
        folio.put_testzero()
        return []


class Round:
    """Each operation once on all folios, on a machine of its own.

    Args:
        folios, cgroups, nodes: how many.
        order: the order in which the folios are unqueued.
    """

    def __init__(self, folios: i64, cgroups: i64, nodes: i64, order: list[int]) -> None:
        self.nr_folios: i64 = folios
        self.nr_nodes: i64 = nodes
        self.order: list[int] = order
        # Twice the memory that is needed, so that no watermark is in the way.
        size = int(2 * HPAGE_PMD_NR * PAGE_SIZE * (folios // nodes + 64))
        self.machine: Machine = Machine([size] * int(nodes), design=ListLruQueue)
        self.machine.rmap = UnmapOnly(self.machine)
        queue = self.machine.deferred_split
        assert isinstance(queue, ListLruQueue)
        self.queue: ListLruQueue = queue
        self.lru: ListLru = queue.the_lru()
        self.cgroups: list[MemCgroup] = [
            self.machine.memcg.create(f"/{number}") for number in range(cgroups)
        ]
        for memcg in self.cgroups:
            self.lru.memcg_list_lru_alloc(memcg)
        # Its slots are there from the start: they are not the folios' own memory.
        self.folios: list[Folio | None] = [None] * int(folios)
        self.unqueued: i64 = 0
        self.counted: i64 = 0
        self.isolated: i64 = 0
        self.split: i64 = 0
        self.bytes_per_folio: float = 0.0

    def run(self) -> dict[str, float]:
        """Nanoseconds of each operation: for a folio, and for a sublist (reparent)."""
        private = ListHead()
        before = resident()
        t0 = perf_counter_ns()
        self.create_all()
        t1 = perf_counter_ns()
        self.queue_all()
        t2 = perf_counter_ns()
        self.bytes_per_folio = (resident() - before) / self.nr_folios
        t3 = perf_counter_ns()
        self.unqueue_all()
        t4 = perf_counter_ns()
        self.queue_all()
        t5 = perf_counter_ns()
        self.walk_all(private)
        t6 = perf_counter_ns()
        self.split_all(private)
        t7 = perf_counter_ns()
        self.drop_all()
        self.create_all()
        self.queue_all()
        t8 = perf_counter_ns()
        self.reparent_all()
        t9 = perf_counter_ns()
        folios = float(self.nr_folios)
        return {
            "create": (t1 - t0) / folios,
            "queue": (t2 - t1) / folios,
            "unqueue": (t4 - t3) / folios,
            "walk": (t6 - t5) / folios,
            "split": (t7 - t6) / folios,
            "reparent": (t9 - t8) / float(len(self.cgroups) * self.nr_nodes),
        }

    def create_all(self) -> None:
        """Allocate, charge, and see to it that each can be queued (the body of an anonymous fault)."""
        machine = self.machine
        charges = machine.charges
        queue = self.queue
        cgroups = self.cgroups
        nr_cgroups: i64 = len(cgroups)
        for index in range(self.nr_folios):
            nid = index % self.nr_nodes
            node = machine.pages.nodes[nid]
            assert node.take(HPAGE_PMD_ORDER, 1, node.wmark_low)
            folio = Folio(HPAGE_PMD_ORDER, nid)
            memcg = cgroups[index // self.nr_nodes % nr_cgroups]
            assert charges.charge_folio(folio, memcg, GFP_TRANSHUGE_LIGHT, None)
            assert queue.prepare(folio)
            self.folios[index] = folio

    def queue_all(self) -> None:
        """deferred_split_folio()."""
        huge_memory = self.machine.huge_memory
        for folio in self.folios:
            assert folio is not None
            huge_memory.deferred_split_folio(folio, True)

    def unqueue_all(self) -> None:
        """folio_unqueue_deferred_split(), with the references frozen as it demands."""
        huge_memory = self.machine.huge_memory
        folios = self.folios
        for index in self.order:
            folio = folios[index]
            assert folio is not None
            if folio.ref_freeze(1):
                if huge_memory.folio_unqueue_deferred_split(folio):
                    self.unqueued += 1
                folio.ref_unfreeze(1)

    def walk_all(self, private: ListHead) -> None:
        """Count and walk each sublist; what can be referenced goes to the private list."""
        lru = self.lru
        isolate = DeferredSplitIsolate(self.queue, private)
        for memcg in self.cgroups:
            for nid in range(self.nr_nodes):
                self.counted += lru.count_one(nid, memcg)
                isolated, _ = lru.walk_one_irq(nid, memcg, isolate, self.nr_folios)
                self.isolated += isolated

    def split_all(self, private: ListHead) -> None:
        """What the scan does with each folio of its private list."""
        huge_memory = self.machine.huge_memory
        folio = private.next
        while folio is not None:
            assert isinstance(folio, Folio)
            list_del_init(folio)
            folio.mapped = 1  # as if by one entry, whose reference the folio has had from the start
            if huge_memory.split_queued(folio):
                self.split += 1
            folio.put_testzero()
            folio = private.next

    def drop_all(self) -> None:
        """The folios of before are gone."""
        for index in range(self.nr_folios):
            self.folios[index] = None

    def reparent_all(self) -> None:
        """list_lru's part of each cgroup's going offline."""
        root = self.machine.memcg.root
        lru = self.lru
        for memcg in self.cgroups:
            self.machine.memcg.kill(memcg)
            lru.reparent(memcg, root)

    def close(self) -> None:
        """Give the memory back, so that the next round finds the same machine."""
        self.drop_all()
        self.machine.teardown()

    def counters(self) -> dict[str, int]:
        """What was counted, for comparison with the other variants."""
        machine = self.machine
        lru = self.lru
        nodes = range(self.nr_nodes)
        return {
            "unqueued": int(self.unqueued),
            "counted": int(self.counted),
            "isolated": int(self.isolated),
            "split": int(self.split),
            "queued": sum(int(lru.count_node(nid)) for nid in nodes),
            "in_root": sum(int(lru.count_one(nid, None)) for nid in nodes),
            "used_pages": sum(int(node.managed - node.free) for node in machine.pages.nodes),
            "partially_mapped": machine.vmstat.mthp[HPAGE_PMD_ORDER]["nr_anon_partially_mapped"],
            "thp_deferred_split_page": machine.vmstat.events["thp_deferred_split_page"],
            "thp_split_page": machine.vmstat.events["thp_split_page"],
        }
