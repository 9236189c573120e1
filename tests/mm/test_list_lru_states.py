# SPDX-License-Identifier: GPL-2.0-only
"""list_lru beside a naive one: a dictionary of Python lists."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.mm.small import entries, small_machine
from tests.mm.states import OneMachine
from tests.mm.walking import ByVerdict
from thplab.cpu.list_head import ListHead
from thplab.cpu.spinlock import IRQ, PLAIN
from thplab.mm.deferred_split import NoQueue
from thplab.mm.invariants import check_list_lru
from thplab.mm.list_lru import (
    LRU_REMOVED,
    LRU_REMOVED_RETRY,
    LRU_RETRY,
    LRU_ROTATE,
    LRU_SKIP,
    LRU_STOP,
    ListLru,
    ListLruOne,
    list_lru_isolate,
)

NODES = 2
STATUSES = [LRU_REMOVED, LRU_REMOVED_RETRY, LRU_ROTATE, LRU_SKIP, LRU_RETRY, LRU_STOP]
Place = tuple[int, str]


def parent_of(path: str) -> str:
    """The path above."""
    return path.rpartition("/")[0] or "/"


class ListLruStates(OneMachine):
    """Whatever is done to both, they agree."""

    def __init__(self) -> None:
        super().__init__(small_machine(None, NODES))
        self.shrinker = NoQueue(self.machine)
        self.machine.shrinkers.alloc(self.shrinker)
        self.lru = ListLru(self.machine, True, self.shrinker)
        self.tree = self.machine.memcg.by_path
        self.paths = ["/"]
        self.with_heads = {"/"}
        self.lists: dict[Place, list[ListHead]] = {(nid, "/"): [] for nid in range(NODES)}
        self.bits: set[Place] = set()
        self.free: list[ListHead] = []
        for path in ("/a", "/a/b", "/a/b/c", "/d"):
            self.make(path)

    def make(self, path: str) -> None:
        """A cgroup in both."""
        self.machine.memcg.create(path)
        self.paths.insert(0, path)
        for nid in range(NODES):
            self.lists[nid, path] = []

    # Cgroups

    @precondition(lambda self: len(self.paths) < 8)
    @rule(data=st.data())
    def mkdir(self, data: st.DataObject) -> None:
        parent = data.draw(st.sampled_from(self.paths))
        name = next(
            letter for letter in "abcdefgh" if f"{parent.rstrip('/')}/{letter}" not in self.paths
        )
        self.make(f"{parent.rstrip('/')}/{name}")

    @precondition(lambda self: len(self.paths) > 1)
    @rule(data=st.data())
    def rmdir(self, data: st.DataObject) -> None:
        inner = {"/", *(parent_of(path) for path in self.paths)}
        leaves = [path for path in self.paths if path not in inner]
        path = data.draw(st.sampled_from(leaves))
        self.machine.memcg.rmdir(self.tree[path])
        parent = parent_of(path)
        for nid in range(NODES):
            mine = self.lists.pop((nid, path))
            self.lists[nid, parent] = mine + self.lists[nid, parent]
            if mine and parent != "/":
                self.bits.add((nid, parent))
            self.bits.discard((nid, path))
        self.paths.remove(path)
        self.with_heads.discard(path)

    @rule(data=st.data())
    def make_heads(self, data: st.DataObject) -> None:
        self.ensure_heads(data.draw(st.sampled_from(self.paths)))

    def ensure_heads(self, path: str) -> None:
        """Of the cgroup and of all above it."""
        assert self.lru.memcg_list_lru_alloc(self.tree[path])
        while path not in self.with_heads:
            self.with_heads.add(path)
            path = parent_of(path)

    # Entries

    @rule(data=st.data(), nid=st.integers(0, NODES - 1), irq=st.booleans(), count=st.integers(1, 4))
    def add(self, data: st.DataObject, nid: int, irq: bool, count: int) -> None:
        """As the kernel's users do it: the heads first."""
        path = data.draw(st.sampled_from(self.paths))
        self.ensure_heads(path)
        add = self.lru.add_irq if irq else self.lru.add
        for _ in range(count):
            item = self.free.pop() if self.free else ListHead()
            assert add(item, nid, self.tree[path])
            assert not add(item, nid, self.tree[path])
            here = self.lists[nid, path]
            if not here and path != "/":
                self.bits.add((nid, path))
            here.append(item)

    @precondition(lambda self: any(self.lists.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        nid, path = data.draw(
            st.sampled_from([place for place, items in self.lists.items() if items])
        )
        item = data.draw(st.sampled_from(self.lists[nid, path]))
        assert self.lru.delete(item, nid, self.tree[path])
        assert not self.lru.delete(item, nid, self.tree[path])
        self.lists[nid, path].remove(item)
        self.free.append(item)

    # Walks

    @rule(data=st.data(), budget=st.integers(0, 8), irq=st.booleans())
    def walk(self, data: st.DataObject, budget: int, irq: bool) -> None:
        place = data.draw(st.sampled_from(sorted(self.lists)))
        script = data.draw(st.lists(st.sampled_from(STATUSES), min_size=budget, max_size=budget))
        nid, path = place
        expected = self.naive_walk(self.lists[place], list(script))
        verdicts = iter(script)

        def verdict(item: ListHead, one: ListLruOne) -> int:
            status = next(verdicts)
            if status in {LRU_REMOVED, LRU_REMOVED_RETRY}:
                list_lru_isolate(one, item)
                self.free.append(item)
            return status

        callback = ByVerdict(verdict, IRQ if irq else PLAIN)
        walk = self.lru.walk_one_irq if irq else self.lru.walk_one
        isolated, left = walk(nid, self.tree[path], callback, budget)
        assert (isolated, left, callback.visited) == expected

    def naive_walk(
        self, items: list[ListHead], script: list[int]
    ) -> tuple[int, int, list[ListHead]]:
        """Isolated, budget left, visits; on a plain list. What is rotated is met again at its new place."""
        visits: list[ListHead] = []
        isolated = 0
        place = 0
        while script and place < len(items):
            item = items[place]
            visits.append(item)
            status = script.pop(0)
            if status in {LRU_REMOVED, LRU_REMOVED_RETRY}:
                items.remove(item)
                isolated += 1
            elif status == LRU_ROTATE:
                last = place == len(items) - 1
                items.remove(item)
                items.append(item)
                if last:
                    # Its follower was the head: the walk is over.
                    break
            elif status == LRU_SKIP:
                place += 1
            if status in {LRU_REMOVED_RETRY, LRU_RETRY}:
                place = 0
            if status == LRU_STOP:
                break
        return isolated, len(script), visits

    # What must hold

    @invariant()
    def the_lists_are_the_same(self) -> None:
        for (nid, path), items in self.lists.items():
            memcg = self.tree[path]
            one = self.lru.from_memcg_idx(nid, memcg.kmemcg_id)
            assert (one is not None) is (path in self.with_heads)
            if one is not None:
                assert entries(one) == items
            assert self.lru.count_one(nid, memcg) == len(items)

    @invariant()
    def the_totals_are_the_sums(self) -> None:
        for nid in range(NODES):
            total = sum(len(items) for (where, _), items in self.lists.items() if where == nid)
            assert self.lru.count_node(nid) == total

    @invariant()
    def the_bits_are_those_that_were_set(self) -> None:
        for nid in range(NODES):
            for path in self.paths:
                bit = self.machine.shrinkers.test_shrinker_bit(
                    self.tree[path], nid, self.shrinker.id
                )
                assert bit is ((nid, path) in self.bits)

    @invariant()
    def nobody_complains(self) -> None:
        assert check_list_lru(self.machine, self.lru) == []
        assert self.machine.log == {}


ListLruStates.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestListLruStates = ListLruStates.TestCase
