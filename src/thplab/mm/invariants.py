# SPDX-License-Identifier: GPL-2.0-only
"""What must be true of a machine whenever nothing is under way: everything is counted again.

Not the kernel's: a real one finds out about a broken count much later, if at all. The counts are
taken anew from the page tables of the tasks and compared with what the model keeps.

>>> from thplab.mm.machine import Machine
>>> machine = Machine([1 << 30])
>>> check(machine)
[]
>>> machine.pages.nodes[0].free -= 1
>>> check(machine)
['node 0: 262143 pages free and 0 in use, of 262144']
"""

from __future__ import annotations

from mypy_extensions import i64

from thplab.cpu.hook import H
from thplab.cpu.list_head import LIST_POISON, list_entries
from thplab.mm.deferred_split import QueueList
from thplab.mm.geometry import HPAGE_PMD_NR, NR_ORDERS, order_mask
from thplab.mm.list_lru import DEAD, ListLru
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import CSS_DYING, CSS_ONLINE, MemCgroup, ObjCgroup
from thplab.mm.mm_types import PG_LRU, PG_PARTIALLY_MAPPED, BasePages, Folio, Mapped, Vma
from thplab.mm.rmap import add_mapped

__all__ = ["check", "check_list_lru"]


def check(machine: Machine, pins: list[Folio] | None = None) -> list[str]:
    """Count everything again.

    Args:
        machine: no CPU is at work on it.
        pins: folios on which the caller holds a reference, once for each.

    Returns:
        What is wrong, a sentence each; empty if nothing is.
    """
    recount = _Recount(machine)
    for task in machine.tasks.values():
        recount.count_task(task.name, list(task.mm.vmas.values()), task.mm.nr_anon)
    for folio in pins or []:
        recount.pinned[folio] = recount.pinned.get(folio, 0) + 1
        recount.seen(folio)
    recount.compare_memory()
    recount.compare_nodes()
    if not machine.memcg.disabled:
        recount.compare_cgroup(machine.memcg.root)
        recount.compare_tasks()
    recount.compare_queue()
    for lru in machine.list_lrus.lrus:
        recount.wrong.extend(check_list_lru(machine, lru))
    recount.compare_context()
    return recount.wrong


def check_list_lru(machine: Machine, lru: ListLru) -> list[str]:
    """A list_lru by itself: links, lengths, totals, bits, and dead lists that stay empty."""
    wrong: list[str] = []
    totals = [0] * int(machine.nr_nodes)
    for one in lru.sublists():
        length = 0
        for item in list_entries(one):
            length += 1
            if item.next is None or item.next.prev is not item:
                wrong.append(f"{one!r}: the entry after {item!r} does not point back")
        if one.nr_items == DEAD:
            if length:
                wrong.append(f"{one!r} is dead and has {length} entries")
            continue
        totals[one.nid] += length
        if one.nr_items != length:
            wrong.append(f"{one!r} has {length} entries")
        memcg = one.memcg
        if memcg is not None and length and lru.shrinker_id >= 0:
            wrong.extend(_missing_bit(machine, memcg, one.nid, lru.shrinker_id, f"{one!r}"))
    for nid, node in enumerate(lru.node):
        if node.nr_items.value != totals[nid]:
            wrong.append(
                f"list_lru: node {nid} counts {node.nr_items.value} entries, its lists have {totals[nid]}"
            )
    for memcg_id, block in lru.xa.entries():
        owner = machine.memcg.from_id(memcg_id)
        if owner is None or block.node[0].memcg is not owner:
            wrong.append(f"list_lru: the lists of id {memcg_id} belong to no cgroup that has it")
        elif not owner.flags & CSS_ONLINE:
            wrong.append(f"list_lru: {owner.path} is offline and still has lists")
    return wrong


def _missing_bit(
    machine: Machine, memcg: MemCgroup, nid: i64, shrinker_id: i64, what: str
) -> list[str]:
    """B06: entries that reclaim of their own cgroup will never find."""
    live = memcg.flags & CSS_ONLINE and not memcg.flags & CSS_DYING
    if not live or memcg is machine.memcg.root:
        return []
    if machine.shrinkers.test_shrinker_bit(memcg, nid, shrinker_id):
        return []
    return [f"{what} is not empty, and {memcg.path} has no shrinker bit for node {nid}"]


def _nearest_alive(memcg: MemCgroup) -> MemCgroup:
    while memcg.flags & CSS_DYING and memcg.parent is not None:
        memcg = memcg.parent
    return memcg


class _Recount:
    """The page tables, counted again, and what is wrong so far."""

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.wrong: list[str] = []
        self.pmds: dict[Folio, int] = {}
        self.ptes: dict[Mapped, int] = {}
        self.layers: dict[Mapped, BasePages] = {}
        self.folios: dict[Folio, None] = {}
        self.pages: dict[BasePages, None] = {}
        self.pinned: dict[Folio, int] = {}
        self.charged: dict[MemCgroup, int] = {}
        self.charges: dict[ObjCgroup, int] = {}
        nr_nodes = int(machine.nr_nodes)
        self.used: list[int] = [0] * nr_nodes
        self.anon: list[int] = [0] * nr_nodes
        self.thps: list[int] = [0] * nr_nodes
        self.cgroup_anon: dict[MemCgroup, list[int]] = {}
        self.cgroup_thps: dict[MemCgroup, list[int]] = {}
        self.cgroup_lru: dict[MemCgroup, list[int]] = {}

    def seen(self, memory: Mapped) -> None:
        if isinstance(memory, Folio):
            self.folios[memory] = None
        elif isinstance(memory, BasePages):
            self.pages[memory] = None

    # The page tables

    def count_task(self, name: str, vmas: list[Vma], nr_anon: i64) -> None:
        """What the task maps; its MM_ANONPAGES must be the sum."""
        total = 0
        for vma in vmas:
            for slot, here in enumerate(vma.slots):
                if isinstance(here, Folio):
                    self.seen(here)
                    self.pmds[here] = self.pmds.get(here, 0) + 1
                    total += int(HPAGE_PMD_NR)
                elif here is not None:
                    total += self._count_ptes(f"{name}.{vma.name} slot {slot}", vma, slot)
        if total != nr_anon:
            self.wrong.append(f"task {name}: MM_ANONPAGES is {nr_anon}, it maps {total} pages")

    def _count_ptes(self, where: str, vma: Vma, slot: int) -> int:
        total = 0
        used = 0
        entry = vma.slots[slot]
        while entry is not None and not isinstance(entry, Folio):
            if entry.mask & used:
                self.wrong.append(f"{where}: a page has two entries")
            used |= entry.mask
            owner = entry.owner
            if entry.migrating:
                self.wrong.append(f"{where}: migration entries were left behind")
            elif owner is not None:
                self.seen(owner)
                count = entry.mask.bit_count()
                total += count
                self.ptes[owner] = self.ptes.get(owner, 0) + count
                layers = self.layers.get(owner)
                if layers is None:
                    layers = BasePages(owner.nid)
                    self.layers[owner] = layers
                add_mapped(layers, entry.mask)
            entry = entry.next
        if used & ~vma.slot_mask(slot) or used & vma.gone.get(slot, 0):
            self.wrong.append(f"{where}: pages outside of the region are mapped")
        return total

    # Memory

    def compare_memory(self) -> None:
        """Each folio and each group of base pages: mapping counts, references, charges."""
        for folio in self.folios:
            pmds = self.pmds.get(folio, 0)
            ptes = self.ptes.get(folio, 0)
            self._compare_mapping(folio)
            if folio.entire_mapcount != pmds:
                self.wrong.append(
                    f"{folio!r}: entire_mapcount {folio.entire_mapcount}, {pmds} PMDs"
                )
            pins = self.pinned.get(folio, 0)
            if folio.refcount != pmds + ptes + pins:
                self.wrong.append(
                    f"{folio!r}: {pmds} PMDs, {ptes} entries and {pins} others refer to it"
                )
            mapped = folio.page_mapped_mask().bit_count()
            thps = int(folio.nr_pages) if folio.entire_mapcount else 0
            lru = int(folio.nr_pages) if folio.flags & PG_LRU else 0
            self._account(folio, int(folio.nr_pages), mapped, thps, lru)
        for pages in self.pages:
            self._compare_mapping(pages)
            mapped = pages.mapped.bit_count()
            self._account(pages, mapped, mapped, 0, mapped)

    def _compare_mapping(self, memory: Mapped) -> None:
        if memory.next is LIST_POISON:
            self.wrong.append(f"{memory!r} is mapped, and was freed")
        layers = self.layers.get(memory)
        mapped = 0 if layers is None else layers.mapped
        more = None if layers is None else layers.more_mapped
        if memory.mapped != mapped or (memory.more_mapped or []) != (more or []):
            self.wrong.append(f"{memory!r}: the mapping counts are not those of the page tables")

    def _account(self, memory: Mapped, nr_pages: int, mapped: int, thps: int, lru: int) -> None:
        nid = memory.nid
        self.used[nid] += nr_pages
        self.anon[nid] += mapped
        self.thps[nid] += thps
        objcg = memory.objcg
        if objcg is None:
            if not self.machine.memcg.disabled:
                self.wrong.append(f"{memory!r} is charged to nobody")
            return
        memcg = objcg.memcg
        self.charges[objcg] = self.charges.get(objcg, 0) + 1
        if not objcg.is_root:
            self.charged[memcg] = self.charged.get(memcg, 0) + nr_pages
        if objcg.nid != nid and self.machine.objcgs.lru_folios_move():
            self.wrong.append(f"{memory!r} is charged through {objcg!r}, of another node")
        if memcg not in self.cgroup_anon:
            for table in (self.cgroup_anon, self.cgroup_thps, self.cgroup_lru):
                table[memcg] = [0] * int(self.machine.nr_nodes)
        self.cgroup_anon[memcg][nid] += mapped
        self.cgroup_thps[memcg][nid] += thps
        self.cgroup_lru[memcg][nid] += lru

    def compare_nodes(self) -> None:
        """Free and used pages, NR_ANON_MAPPED and NR_ANON_THPS of each node."""
        for node in self.machine.pages.nodes:
            nid = node.nid
            if node.free + self.used[nid] != node.managed:
                self.wrong.append(
                    f"node {nid}: {node.free} pages free and {self.used[nid]} in use, of {node.managed}"
                )
            if not 0 <= node.fragmented <= node.free:
                self.wrong.append(
                    f"node {nid}: {node.fragmented} of {node.free} free pages scattered"
                )
            if node.nr_anon != self.anon[nid] or node.nr_anon_thps != self.thps[nid]:
                self.wrong.append(
                    f"node {nid}: NR_ANON_MAPPED {node.nr_anon}, NR_ANON_THPS {node.nr_anon_thps}; "
                    f"the page tables have {self.anon[nid]} and {self.thps[nid]}"
                )

    # Cgroups

    def compare_cgroup(self, memcg: MemCgroup) -> int:
        """The cgroup and all below it. Returns the base pages charged there."""
        usage = self.charged.get(memcg, 0)
        for child in memcg.children:
            usage += self.compare_cgroup(child)
        # Once its objcgs have moved to the parent, nobody keeps its counter.
        if memcg.memory.usage != usage and memcg.nodeinfo[0].objcg is not None:
            self.wrong.append(f"{memcg!r}: {memcg.memory.usage} pages charged, {usage} in use")
        none = [0] * int(self.machine.nr_nodes)
        for nid, pernode in enumerate(memcg.nodeinfo):
            kept = (int(pernode.nr_anon), int(pernode.nr_anon_thps), int(pernode.nr_lru))
            found = (
                self.cgroup_anon.get(memcg, none)[nid],
                self.cgroup_thps.get(memcg, none)[nid],
                self.cgroup_lru.get(memcg, none)[nid],
            )
            if kept != found:
                self.wrong.append(
                    f"{memcg!r} node {nid}: anon, thp, lru are {kept}, should be {found}"
                )
        self._compare_references(memcg)
        return usage

    def _compare_references(self, memcg: MemCgroup) -> None:
        online = memcg.flags & CSS_ONLINE != 0
        pinned = 0
        for nid, pernode in enumerate(memcg.nodeinfo):
            for objcg in pernode.objcgs:
                refs = self.charges.get(objcg, 0) + (1 if online and objcg is pernode.objcg else 0)
                pinned += objcg.pins_memcg
                if objcg.memcg is not memcg or objcg.nid != nid:
                    self.wrong.append(f"{objcg!r} is on the list of {memcg!r}, node {nid}")
                if objcg.refcount != refs:
                    self.wrong.append(
                        f"{objcg!r} has {objcg.refcount} references, should have {refs}"
                    )
        # While it is online, one of its own, and one of its id, which the root has not; one of each child.
        root = memcg is self.machine.memcg.root
        refs = 2 * int(online) - int(root) + len(memcg.children) + pinned
        if memcg.refcount != refs:
            self.wrong.append(f"{memcg!r} has {memcg.refcount} references, should have {refs}")

    def compare_tasks(self) -> None:
        """Each cgroup's number of tasks."""
        tasks: dict[MemCgroup, int] = {}
        for task in self.machine.tasks.values():
            tasks[task.memcg] = tasks.get(task.memcg, 0) + 1
        for memcg in self.machine.memcg.by_path.values():
            if memcg.nr_tasks != tasks.get(memcg, 0):
                self.wrong.append(f"{memcg!r}: {memcg.nr_tasks} tasks, has {tasks.get(memcg, 0)}")

    # The deferred split queue

    def compare_queue(self) -> None:
        """Who is queued, where, and flagged; and the counter of the flagged ones."""
        design = self.machine.deferred_split
        flagged = [0] * int(NR_ORDERS)
        for folio in self.folios:
            if folio.flags & PG_PARTIALLY_MAPPED:
                flagged[folio.order] += 1
        for order, stats in enumerate(self.machine.vmstat.mthp):
            if stats["nr_anon_partially_mapped"] != flagged[order]:
                self.wrong.append(
                    f"nr_anon_partially_mapped of order {order} is "
                    f"{stats['nr_anon_partially_mapped']}, {flagged[order]} folios are flagged"
                )
        lists = design.lists()
        if lists is None:
            return
        queued: dict[Folio, None] = {}
        for one in lists:
            self._compare_list(one, queued)
        for folio in self.folios:
            linked = folio.next is not None and folio.next is not LIST_POISON
            if linked and folio not in queued:
                self.wrong.append(f"{folio!r} is linked, and on no list of the queue")
            if folio.flags & PG_PARTIALLY_MAPPED and folio not in queued:
                self.wrong.append(
                    f"{folio!r} is partially mapped, and not queued: nothing will split it"
                )
            partly = 0 < folio.mapped != order_mask(folio.order) and not folio.entire_mapcount
            if partly and folio.order > 1 and not folio.flags & PG_PARTIALLY_MAPPED:
                self.wrong.append(f"{folio!r} is partially mapped, and not flagged")

    def _compare_list(self, one: QueueList, queued: dict[Folio, None]) -> None:
        design = self.machine.deferred_split
        length = 0
        nids: dict[int, None] = {}
        for item in list_entries(one.head):
            length += 1
            if not isinstance(item, Folio) or item not in self.folios:
                self.wrong.append(f"{one.head!r} has {item!r}, which is in nobody's memory")
                continue
            if item in queued:
                self.wrong.append(f"{item!r} is queued twice")
            queued[item] = None
            nids[int(item.nid)] = None
            self._compare_place(one, item)
        if length and one.dead:
            self.wrong.append(f"{one.head!r} is dead and has {length} entries")
        if not one.dead and one.length != length:
            self.wrong.append(f"{one.head!r} counts {one.length} entries and has {length}")
        if one.memcg is not None and one.of_memcg and design.memcg_aware:
            for nid in nids:
                self.wrong.extend(
                    _missing_bit(self.machine, one.memcg, nid, design.id, f"{one.head!r}")
                )

    def _compare_place(self, one: QueueList, folio: Folio) -> None:
        if one.nid >= 0 and folio.nid != one.nid:
            self.wrong.append(f"{folio!r} is queued on {one.head!r}, of another node")
        if not one.of_memcg:
            return
        objcg = folio.objcg
        memcg = None if objcg is None else objcg.memcg
        owner = one.memcg
        if owner is None and memcg is self.machine.memcg.root:
            return
        if owner is not memcg and (memcg is None or owner is not _nearest_alive(memcg)):
            self.wrong.append(
                f"{folio!r}, of {memcg!r}, is queued on {one.head!r}, of another cgroup"
            )

    # What is left behind

    def compare_context(self) -> None:
        """Locks, interrupts, read sections, and calls of shrinkers that never ended."""
        for cpu in H.cpus:
            if cpu.locks_held or cpu.rcu_nesting or cpu.in_irq or not cpu.irqs_on:
                self.wrong.append(
                    f"{cpu!r}: {cpu.locks_held} locks held, RCU nesting {cpu.rcu_nesting}, "
                    f"interrupts {'on' if cpu.irqs_on else 'off'}"
                )
        if self.machine.rcu.pending:
            self.wrong.append(f"{len(self.machine.rcu.pending)} grace periods have not ended")
        for shrinker in self.machine.shrinkers.registered:
            if shrinker.refs.refcount != 1:
                self.wrong.append(
                    f"{shrinker.refs!r} has {shrinker.refs.refcount} references, idle"
                )
