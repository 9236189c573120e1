# SPDX-License-Identifier: GPL-2.0-only
"""Shrinker bits and deferred counts beside naive ones: sets, dictionaries and plain arithmetic."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.mm.small import small_machine
from tests.mm.states import OneMachine
from thplab.mm.shrinker import (
    SHRINK_EMPTY,
    SHRINKER_MEMCG_AWARE,
    SHRINKER_NUMA_AWARE,
    ShrinkControl,
    Shrinker,
)

NODES = 2
Place = tuple[int, str]


class Store(Shrinker):
    """Objects by (node, cgroup); a scan takes what it is asked for, as far as it goes."""

    def __init__(self, seeks: int, batch: int) -> None:
        super().__init__("store", SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE, seeks, batch)
        self.objects: dict[Place, int] = {}
        self.empty = SHRINK_EMPTY

    def place(self, sc: ShrinkControl) -> Place:
        assert sc.memcg is not None
        return int(sc.nid), sc.memcg.path

    def count_objects(self, sc: ShrinkControl) -> int:
        return self.objects.get(self.place(sc), 0) or self.empty

    def scan_objects(self, sc: ShrinkControl) -> int:
        taken = min(int(sc.nr_to_scan), self.objects[self.place(sc)])
        self.objects[self.place(sc)] -= taken
        return taken


class ShrinkerStates(OneMachine):
    """Stores come, go, fill, and are asked; cgroups come and go."""

    def __init__(self) -> None:
        super().__init__(small_machine(None, NODES))
        self.tree = self.machine.memcg.by_path
        self.paths = ["/"]
        self.stores: dict[int, Store] = {}
        self.bits: set[tuple[int, str, int]] = set()
        self.deferred: dict[tuple[int, str, int], int] = {}
        self.objects: dict[tuple[int, str, int], int] = {}
        self.made = 0
        for path in ("/a", "/a/b", "/c"):
            self.machine.memcg.create(path)
            self.paths.insert(0, path)

    # Who there is

    @precondition(lambda self: len(self.stores) < 5)
    @rule(
        seeks=st.sampled_from([0, 1, 2, 8]),
        batch=st.sampled_from([0, 16, 1024]),
        stays=st.booleans(),
    )
    def register(self, seeks: int, batch: int, stays: bool) -> None:
        store = Store(seeks, batch)
        store.empty = 0 if stays else SHRINK_EMPTY
        self.machine.shrinkers.register(store)
        free = next(number for number in range(99) if number not in self.stores)
        assert store.id == free
        self.stores[free] = store

    @precondition(lambda self: self.stores)
    @rule(data=st.data())
    def unregister(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.stores)))
        self.machine.shrinkers.free(self.stores.pop(number))
        self.objects = {key: count for key, count in self.objects.items() if key[2] != number}

    @precondition(lambda self: self.made < 6)
    @rule(data=st.data())
    def mkdir(self, data: st.DataObject) -> None:
        parent = data.draw(st.sampled_from(self.paths))
        self.made += 1
        path = f"{parent.rstrip('/')}/c{self.made}"
        self.machine.memcg.create(path)
        self.paths.insert(0, path)

    @precondition(lambda self: len(self.paths) > 1)
    @rule(data=st.data())
    def rmdir(self, data: st.DataObject) -> None:
        """Deferred counts are added to the parent's; objects are the owner's business, bits are gone."""
        leaves = [
            path
            for path in self.paths
            if not any(p.startswith(f"{path.rstrip('/')}/") for p in self.paths)
        ]
        path = data.draw(st.sampled_from(leaves))
        parent = path.rpartition("/")[0] or "/"
        self.machine.memcg.rmdir(self.tree[path])
        self.paths.remove(path)
        for nid, where, number in list(self.deferred):
            if where == path:
                mine = self.deferred.pop((nid, where, number))
                key = (nid, parent, number)
                self.deferred[key] = self.deferred.get(key, 0) + mine
        self.bits = {bit for bit in self.bits if bit[1] != path}
        self.objects = {key: count for key, count in self.objects.items() if key[1] != path}

    # Objects

    @precondition(lambda self: self.stores)
    @rule(data=st.data(), nid=st.integers(0, NODES - 1), count=st.integers(1, 5000))
    def fill(self, data: st.DataObject, nid: int, count: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.stores)))
        path = data.draw(st.sampled_from(self.paths))
        self.stores[number].objects[nid, path] = count
        self.objects[nid, path, number] = count
        self.machine.shrinkers.set_shrinker_bit(self.tree[path], nid, number)
        if path != "/":
            self.bits.add((nid, path, number))

    # Reclaim

    @rule(data=st.data(), nid=st.integers(0, NODES - 1), priority=st.integers(0, 12))
    def shrink(self, data: st.DataObject, nid: int, priority: int) -> None:
        self.shrink_path(data.draw(st.sampled_from(self.paths)), nid, priority)

    @precondition(lambda self: self.objects)
    @rule(data=st.data(), priority=st.integers(0, 8))
    def shrink_where_something_is(self, data: st.DataObject, priority: int) -> None:
        nid, path, _ = data.draw(st.sampled_from(sorted(self.objects)))
        self.shrink_path(path, nid, priority)

    def shrink_path(self, path: str, nid: int, priority: int) -> None:
        """shrink_slab(), and what it must have freed."""
        freed = 0
        if path == "/":
            for number in self.stores:
                freed += max(self.naive_call(nid, path, number, priority), 0)
        else:
            for _, _, number in sorted(bit for bit in self.bits if bit[:2] == (nid, path)):
                if number not in self.stores:
                    self.bits.discard((nid, path, number))
                    continue
                result = self.naive_call(nid, path, number, priority)
                if result == SHRINK_EMPTY:
                    self.bits.discard((nid, path, number))
                freed += max(result, 0)
        assert self.machine.shrinkers.shrink_slab(nid, self.tree[path], priority) == freed

    def naive_call(self, nid: int, path: str, number: int, priority: int) -> int:
        """do_shrink_slab() as the kernel's documentation would put it."""
        store = self.stores[number]
        key = (nid, path, number)
        freeable = self.objects.get(key, 0)
        if not freeable:
            return store.empty
        waiting = self.deferred.pop(key, 0)
        due = (freeable >> priority) * 4 // int(store.seeks) if store.seeks else freeable // 2
        total = min((waiting >> priority) + due, 2 * freeable)
        batch = int(store.batch) or 128
        scanned = freed = 0
        while total - scanned >= min(batch, freeable):
            chunk = min(batch, total - scanned)
            taken = min(chunk, self.objects[key])
            self.objects[key] -= taken
            freed += taken
            scanned += chunk
        left = min(max(waiting + due - scanned, 0), 2 * freeable)
        if left:
            self.deferred[key] = left
        return freed

    # What must hold

    @invariant()
    def they_agree(self) -> None:
        for path in self.paths:
            memcg = self.tree[path]
            for nid in range(NODES):
                info = memcg.nodeinfo[nid].shrinker_info
                assert info is not None
                for number in range(6):
                    key = (nid, path, number)
                    bit = self.machine.shrinkers.test_shrinker_bit(memcg, nid, number)
                    assert bit is (key in self.bits), key
                    kept = info.unit[0].nr_deferred[number] if info.unit else 0
                    assert kept == self.deferred.get(key, 0), key
        for (nid, path, number), count in self.objects.items():
            assert self.stores[number].objects[nid, path] == count
        assert self.machine.log == {}


ShrinkerStates.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestShrinkerStates = ShrinkerStates.TestCase
