# SPDX-License-Identifier: GPL-2.0-only
"""The tree of cgroups beside a naive one: paths in a list, charges in a dictionary."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.mm.small import MIB
from tests.mm.states import OneMachine
from thplab.mm.deferred_split import NoQueue
from thplab.mm.machine import Machine
from thplab.mm.memcontrol import MemCgroup
from thplab.mm.mm_types import PG_LRU, Folio

UNLIMITED = 1 << 40


def above(path: str) -> str:
    """The path above."""
    return path.rpartition("/")[0] or "/"


class TreeStates(OneMachine):
    """Cgroups are made and removed while folios are charged to them and tasks move about."""

    reparents = True

    def __init__(self) -> None:
        super().__init__(Machine([64 * MIB, 64 * MIB], NoQueue))
        self.machine.objcgs.reparents_lru_folios = self.reparents
        self.tree = self.machine.memcg
        self.paths = ["/"]
        self.made: dict[str, int] = {"/": 0}
        self.limits: dict[str, int] = {"/": UNLIMITED}
        self.tasks: dict[str, str] = {}
        # What each folio was charged to; a dead cgroup's name has a number behind it.
        self.folios: list[tuple[Folio, str]] = []
        # What was charged to the root itself, which no page counter counts.
        self.uncounted: set[Folio] = set()
        self.dead: dict[str, MemCgroup] = {}
        self.parents: dict[str, str] = {}
        self.count = 0
        for path in ("/a", "/a/b", "/a/b/c", "/d"):
            self.make(path)

    def make(self, path: str) -> None:
        """A cgroup in both."""
        self.tree.create(path)
        self.count += 1
        self.made[path] = self.count
        self.paths.insert(0, path)
        self.parents[path] = above(path)
        self.limits[path] = UNLIMITED

    def line(self, name: str) -> list[str]:
        """The cgroup and all above it."""
        found = [name]
        while found[-1] != "/":
            found.append(self.parents[found[-1]])
        return found

    def usage(self, name: str) -> int:
        """Base pages charged to it or below."""
        return sum(
            512
            for folio, owner in self.folios
            if folio not in self.uncounted and name in self.line(owner)
        )

    @precondition(lambda self: len(self.paths) < 8)
    @rule(data=st.data())
    def mkdir(self, data: st.DataObject) -> None:
        parent = data.draw(st.sampled_from(self.paths))
        path = f"{parent.rstrip('/')}/{data.draw(st.sampled_from('abc'))}"
        if path not in self.paths:
            self.make(path)

    @precondition(lambda self: len(self.paths) > 1)
    @rule(data=st.data())
    def rmdir(self, data: st.DataObject) -> None:
        busy = {"/", *(above(path) for path in self.paths)} | set(self.tasks.values())
        leaves = [path for path in self.paths if path not in busy]
        if not leaves:
            return
        path = data.draw(st.sampled_from(leaves))
        memcg = self.tree.by_path[path]
        self.tree.rmdir(memcg)
        self.paths.remove(path)
        parent = self.parents.pop(path)
        self.limits.pop(path)
        heir = parent
        if not self.reparents and self.usage_of_dying(path):
            heir = f"{path}#{self.made[path]}"
            self.parents[heir] = parent
            self.dead[heir] = memcg
        self.folios = [(folio, heir if owner == path else owner) for folio, owner in self.folios]
        for name, its_parent in self.parents.items():
            if its_parent == path:
                self.parents[name] = heir

    def usage_of_dying(self, path: str) -> bool:
        """Whether somebody keeps the dead cgroup: its own charges, or dead children."""
        return any(owner == path for _, owner in self.folios) or path in self.parents.values()

    @rule(data=st.data(), pages=st.integers(0, 4000))
    def limit(self, data: st.DataObject, pages: int) -> None:
        path = data.draw(st.sampled_from(self.paths))
        self.tree.by_path[path].memory.max = pages
        self.limits[path] = pages

    @precondition(lambda self: len(self.folios) < 20)
    @rule(data=st.data())
    def charge(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.paths))
        folio = Folio(9, data.draw(st.integers(0, 1)))
        fits = path == "/" or all(
            self.usage(name) + 512 <= self.limits.get(name, UNLIMITED) for name in self.line(path)
        )
        assert self.machine.charges.charge_folio(folio, self.tree.by_path[path], 0, None) is fits
        if fits:
            self.folios.append((folio, path))
            if path == "/":
                self.uncounted.add(folio)

    @precondition(lambda self: self.folios)
    @rule(data=st.data())
    def migrate(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.folios) - 1))
        old, owner = self.folios[place]
        new = Folio(9, 1 - old.nid)
        # Whatever moves is on an LRU list.
        self.machine.lru.folio_add_lru(old)
        self.machine.migration.mem_cgroup_migrate(old, new)
        new.flags |= PG_LRU
        self.machine.lru._del_lru(new)
        self.folios[place] = (new, owner)
        if owner == "/" and self.reparents:
            # It was a removed cgroup's, or the root's: now it is the root's.
            self.uncounted.add(new)
        elif old in self.uncounted:
            self.uncounted.add(new)

    @precondition(lambda self: self.folios)
    @rule(data=st.data())
    def uncharge(self, data: st.DataObject) -> None:
        folio, owner = self.folios.pop(data.draw(st.integers(0, len(self.folios) - 1)))
        self.machine.charges.uncharge_folio(folio)
        self.uncounted.discard(folio)
        while "#" in owner and not self.usage_of_dying(owner):
            assert self.dead.pop(owner).is_freed()
            owner = self.parents.pop(owner)

    @precondition(lambda self: len(self.tasks) < 3)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.paths))
        self.count += 1
        self.machine.start(f"task{self.count}", self.tree.by_path[path])
        self.tasks[f"task{self.count}"] = path

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), stays=st.booleans())
    def move_or_end(self, data: st.DataObject, stays: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.tasks)))
        task = self.machine.tasks[name]
        if stays:
            self.tasks[name] = data.draw(st.sampled_from(self.paths))
            self.machine.move_task(task, self.tree.by_path[self.tasks[name]])
        else:
            self.machine.exit(task)
            del self.tasks[name]

    # What must hold

    @invariant()
    def usage_is_the_sum_of_what_is_charged_below(self) -> None:
        for path in self.paths:
            assert self.tree.by_path[path].memory.usage == self.usage(path), path
        for name, memcg in self.dead.items():
            assert memcg.memory.usage == self.usage(name), name

    @invariant()
    def each_folio_belongs_to_whom_it_should(self) -> None:
        for folio, owner in self.folios:
            assert folio.objcg is not None
            expected = self.dead[owner] if "#" in owner else self.tree.by_path[owner]
            assert folio.objcg.memcg is expected
            assert not self.reparents or folio.objcg.nid == folio.nid

    @invariant()
    def the_walk_visits_all_in_the_order_made_parents_first(self) -> None:
        walk = self.tree.iterate(self.tree.root)
        assert [memcg.path for memcg in walk if memcg.online()] == self.ordered("/")
        assert len(walk) == len(self.paths) + len(self.dead)

    def ordered(self, path: str) -> list[str]:
        """A path, and its living children in the order made. The dead hide nobody: rmdir wants no children."""
        children = [child for child in self.paths if child != "/" and above(child) == path]
        found = [path]
        for child in sorted(children, key=lambda name: self.made[name]):
            found += self.ordered(child)
        return found

    @invariant()
    def ids_are_distinct_and_known(self) -> None:
        alive = [self.tree.by_path[path] for path in self.paths if path != "/"] + list(
            self.dead.values()
        )
        assert len({int(memcg.kmemcg_id) for memcg in alive}) == len(alive)
        for memcg in alive:
            assert self.tree.from_id(memcg.kmemcg_id) is memcg
        known = [memcg for memcg in self.tree.by_id if memcg is not None]
        assert len(known) == len(alive)

    @invariant()
    def references_add_up(self) -> None:
        for path in self.paths:
            if path == "/":
                continue
            memcg = self.tree.by_path[path]
            # Its own, that of its id, and until 7.0 what is charged to it on each node.
            pinned = 0 if self.reparents else 2
            assert memcg.refcount == 2 + len(memcg.children) + pinned
            assert memcg.nr_tasks == sum(where == path for where in self.tasks.values())


class ZombieStates(TreeStates):
    """Until 7.0: a removed cgroup stays as long as something is charged to it."""

    reparents = False


for machine_class in (TreeStates, ZombieStates):
    machine_class.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestTreeStates = TreeStates.TestCase
TestZombieStates = ZombieStates.TestCase
