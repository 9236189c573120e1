# SPDX-License-Identifier: GPL-2.0-only
"""Whatever is done to a machine, in whatever order, everything adds up after each step."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.conformance.conftest import EXPECTED_WARNINGS
from tests.mm.small import LOWER, UPPER, fill, small_machine
from tests.mm.states import OneMachine
from thplab.mm.collapse import CollapseControl
from thplab.mm.geometry import FULL_MASK
from thplab.mm.invariants import check
from thplab.mm.mempolicy import Mempolicy
from thplab.mm.mm_types import Folio, PteMap, Task, Vma
from thplab.mm.shrinker import ShrinkControl

MASKS = st.sampled_from([FULL_MASK, UPPER, LOWER, 1, 0xFF << 200, UPPER >> 128, int("01" * 256, 2)])
NODE = st.integers(0, 1)
SLOT = st.integers(0, 2)
PATHS = ("/a", "/a/b", "/c")

# How many walks of up to 40 steps each design takes; THPLAB_WALKS=1000 for a long night.
WALKS = int(os.environ.get("THPLAB_WALKS", "60"))


class MachineStates(OneMachine):
    """Two nodes, a few cgroups and tasks, each task with up to three regions of three huge pages."""

    design = ""
    mode = "on"

    def __init__(self) -> None:
        super().__init__(small_machine(self.design, mebibytes=48, memcg=self.mode))
        self.machine.khugepaged.max_ptes_none = 300
        self.pins: list[Folio] = []
        self.made = 0
        for path in PATHS:
            self.machine.memcg.create(path)
        for path in ("/", *PATHS):
            self.new_task(path)

    def new_task(self, path: str) -> None:
        self.made += 1
        self.machine.start(f"task{self.made}", self.machine.memcg.by_path[path])

    def any_task(self, data: st.DataObject) -> Task:
        return self.machine.tasks[data.draw(st.sampled_from(sorted(self.machine.tasks)))]

    def any_vma(self, data: st.DataObject) -> tuple[Task, Vma]:
        having = sorted(name for name, task in self.machine.tasks.items() if task.mm.vmas)
        task = self.machine.tasks[data.draw(st.sampled_from(having))]
        return task, task.mm.vmas[data.draw(st.sampled_from(sorted(task.mm.vmas)))]

    def has_memory(self) -> bool:
        return any(task.mm.vmas for task in self.machine.tasks.values())

    # Memory of tasks

    @precondition(lambda self: self.machine.tasks)
    @rule(
        data=st.data(),
        mode=st.sampled_from(["bind", "interleave", "preferred"]),
        node=NODE,
        mask=MASKS,
        zeros=st.booleans(),
        huge=st.booleans(),
    )
    def map_and_touch(
        self, data: st.DataObject, mode: str, node: int, mask: int, zeros: bool, huge: bool
    ) -> None:
        task = self.any_task(data)
        if len(task.mm.vmas) == 3:
            return
        self.made += 1
        nodes = [0, 1] if mode == "interleave" else [node]
        thp = "default" if huge else "nohugepage"
        vma = self.machine.mmap(task, f"region{self.made}", 3 * 512, Mempolicy(mode, nodes), thp)
        for slot in range(3):
            if not self.machine.memory.touch(task, vma, slot, mask, zeros):
                break

    @precondition(has_memory)
    @rule(data=st.data(), slot=SLOT, mask=MASKS, zeros=st.booleans())
    def touch(self, data: st.DataObject, slot: int, mask: int, zeros: bool) -> None:
        task, vma = self.any_vma(data)
        self.machine.memory.touch(task, vma, slot, mask & ~vma.gone.get(slot, 0), zeros)

    @precondition(has_memory)
    @rule(data=st.data(), mask=MASKS, slots=st.sets(SLOT, min_size=1))
    def discard(self, data: st.DataObject, mask: int, slots: set[int]) -> None:
        _, vma = self.any_vma(data)
        for slot in sorted(slots):
            self.machine.memory.zap(vma, slot, mask)

    @precondition(has_memory)
    @rule(data=st.data(), slot=SLOT, mask=MASKS)
    def unmap(self, data: st.DataObject, slot: int, mask: int) -> None:
        _, vma = self.any_vma(data)
        if mask == LOWER:
            self.machine.memory.unmap_vma(vma)
        else:
            self.machine.memory.unmap_part(vma, slot, mask)

    @precondition(has_memory)
    @rule(data=st.data(), access=st.sampled_from([0, 1, 3]))
    def protect(self, data: st.DataObject, access: int) -> None:
        """A range without a hole."""
        task, vma = self.any_vma(data)
        pieces = vma.pieces
        if not pieces:
            return
        at = data.draw(st.integers(0, len(pieces) - 1))
        first = data.draw(st.integers(int(pieces[at].first), int(pieces[at].end) - 1))
        while at + 1 < len(pieces) and pieces[at + 1].first == pieces[at].end:
            at += 1
        end = data.draw(st.integers(first + 1, int(pieces[at].end)))
        self.machine.mprotect.do_mprotect(task, vma, first, end, access)

    @precondition(has_memory)
    @rule(data=st.data(), slot=SLOT, mask=MASKS)
    def cold(self, data: st.DataObject, slot: int, mask: int) -> None:
        self.machine.madvise.cold(self.any_vma(data)[1], slot, mask)

    @precondition(has_memory)
    @rule(data=st.data(), slot=SLOT, mask=MASKS)
    def split_huge_pages(self, data: st.DataObject, slot: int, mask: int) -> None:
        self.machine.huge_memory.split_huge_pages_pid(self.any_vma(data)[1], slot, mask)

    @precondition(has_memory)
    @rule(data=st.data(), slot=SLOT, mask=MASKS, node=NODE)
    def move_pages(self, data: st.DataObject, slot: int, mask: int, node: int) -> None:
        self.machine.migration.move_slot(self.any_vma(data)[1], slot, mask, node)

    @precondition(has_memory)
    @rule(data=st.data(), slot=SLOT, daemon=st.booleans())
    def collapse(self, data: st.DataObject, slot: int, daemon: bool) -> None:
        task, vma = self.any_vma(data)
        self.machine.khugepaged.collapse(task, vma, slot, CollapseControl(daemon))

    @precondition(has_memory)
    @rule(data=st.data(), locked=st.booleans())
    def mlock(self, data: st.DataObject, locked: bool) -> None:
        task, vma = self.any_vma(data)
        if locked:
            self.machine.mlock.do_mlock(task, vma)
        else:
            self.machine.mlock.munlock(vma)

    @rule(milliseconds=st.sampled_from([10_000, 50_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.machine.khugepaged.awake = True
        self.machine.khugepaged.elapse(milliseconds)

    # Tasks and cgroups

    @precondition(lambda self: 0 < len(self.machine.tasks) < 6)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        self.made += 1
        self.machine.fork(self.any_task(data), f"child{self.made}")

    @precondition(lambda self: self.machine.tasks)
    @rule(data=st.data())
    def exit(self, data: st.DataObject) -> None:
        self.machine.exit(self.any_task(data))

    @precondition(lambda self: len(self.machine.tasks) < 5)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.new_task(data.draw(st.sampled_from(sorted(self.machine.memcg.by_path))))

    @precondition(lambda self: self.machine.tasks)
    @rule(data=st.data())
    def move_task(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(self.machine.memcg.by_path)))
        self.machine.move_task(self.any_task(data), self.machine.memcg.by_path[path])

    @rule(data=st.data())
    def mkdir(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(PATHS))
        parent = path.rpartition("/")[0] or "/"
        if path not in self.machine.memcg.by_path and parent in self.machine.memcg.by_path:
            self.machine.memcg.create(path)

    @rule(data=st.data())
    def rmdir(self, data: st.DataObject) -> None:
        """Its tasks go to the root first, and leave their memory behind."""
        path = data.draw(st.sampled_from(PATHS))
        memcg = self.machine.memcg.by_path.get(path)
        if memcg is None or any(
            other.startswith(f"{path}/") for other in self.machine.memcg.by_path
        ):
            return
        for task in self.machine.tasks.values():
            if task.memcg is memcg:
                self.machine.move_task(task, self.machine.memcg.root)
        self.machine.memcg.rmdir(memcg)

    @rule(data=st.data(), spare=st.sampled_from([0, 100, 700, None]))
    def limit(self, data: st.DataObject, spare: int | None) -> None:
        path = data.draw(st.sampled_from(PATHS))
        memcg = self.machine.memcg.by_path.get(path)
        if memcg is not None and not self.machine.memcg.disabled:
            memcg.memory.max = 1 << 40 if spare is None else memcg.memory.usage + spare

    # Somebody else's references

    @precondition(lambda self: self.has_memory() and len(self.pins) < 3)
    @rule(data=st.data(), slot=SLOT)
    def pin(self, data: st.DataObject, slot: int) -> None:
        here = self.any_vma(data)[1].slots[slot]
        owner = here.owner if isinstance(here, PteMap) else here
        if isinstance(owner, Folio):
            owner.get()
            self.pins.append(owner)

    @precondition(lambda self: self.pins)
    @rule()
    def unpin(self) -> None:
        self.machine.lru.folio_put(self.pins.pop(0))

    # Reclaim

    @rule(data=st.data(), node=NODE, count=st.sampled_from([1, 2, 50]))
    def shrink(self, data: st.DataObject, node: int, count: int) -> None:
        path = data.draw(st.sampled_from(sorted(self.machine.memcg.by_path)))
        queue = self.machine.deferred_split
        memcg = self.machine.memcg.by_path[path] if queue.memcg_aware else None
        queue.scan_objects(ShrinkControl(node, memcg, count))

    @rule(data=st.data(), node=NODE, kind=st.sampled_from(["cgroup", "node", "kswapd"]))
    def reclaim(self, data: st.DataObject, node: int, kind: str) -> None:
        vmscan = self.machine.vmscan
        if kind == "cgroup":
            path = data.draw(st.sampled_from(sorted(self.machine.memcg.by_path)))
            vmscan.memory_reclaim(self.machine.memcg.by_path[path], 512)
        elif kind == "node":
            vmscan.min_slab_ratio = 0
            vmscan.node_reclaim(node, 512)
        else:
            vmscan._balance_pgdat(node)

    @rule(node=NODE)
    def pressure(self, node: int) -> None:
        self.made += 1
        hog = self.machine.start(f"hog{self.made}", self.machine.memcg.root, 1000)
        hog.policy = Mempolicy("bind", [node])
        fill(self.machine, hog, node)

    @rule(wanted=st.booleans())
    def set_shrink_underused(self, wanted: bool) -> None:
        self.machine.huge_memory.thp.shrink_underused = wanted

    # What must hold

    @invariant()
    def everything_adds_up(self) -> None:
        assert check(self.machine, self.pins) == []
        assert set(self.machine.log) <= EXPECTED_WARNINGS.get(self.design, set())

    def teardown(self) -> None:
        for folio in self.pins:
            self.machine.lru.folio_put(folio)
        self.pins = []
        for task in list(self.machine.tasks.values()):
            self.machine.exit(task)
        for path in sorted(set(PATHS) & set(self.machine.memcg.by_path), reverse=True):
            self.machine.memcg.rmdir(self.machine.memcg.by_path[path])
        assert check(self.machine) == []
        assert [node.free for node in self.machine.pages.nodes] == [
            node.managed for node in self.machine.pages.nodes
        ]
        assert self.machine.memcg.root.refcount == 1
        assert self.machine.vmstat.mthp[9]["nr_anon"] == 0
        super().teardown()


@pytest.mark.parametrize("mode", ["on", "nokmem", "disabled"])
def test_everything_adds_up_after_each_step(design: str, mode: str) -> None:
    states = type("States", (MachineStates,), {"design": design, "mode": mode})
    walks = WALKS if mode == "on" else max(WALKS // 3, 1)
    run_state_machine_as_test(states, settings=settings(max_examples=walks, stateful_step_count=40))
