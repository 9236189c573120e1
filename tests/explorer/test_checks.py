# SPDX-License-Identifier: GPL-2.0-only
"""Each check reports what it is for, in the kernel's words, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from thplab.cpu.atomic import AtomicLong
from thplab.cpu.hook import H
from thplab.cpu.list_head import ListHead, list_add_tail, list_del_init, list_splice
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import RCU_LOAD, RCU_USE
from thplab.cpu.rcu import Rcu
from thplab.cpu.spinlock import LockClass, SpinLock
from thplab.explorer.core_check import Case, World
from thplab.explorer.strategies.exhaustive import Exhaustive
from thplab.explorer.verdict import Budget

Lane = Callable[[], None]


class LaneWorld(World):
    def __init__(self, lanes: list[Lane]) -> None:
        self.lanes = lanes

    def programs(self) -> list[Lane]:
        return self.lanes


class LaneCase(Case):
    def __init__(self, make: Callable[[], list[Lane]], handlers: tuple[int, ...] = ()) -> None:
        super().__init__("check", len(make()) - len(handlers))
        self.make = make
        self.handlers = list(handlers)

    def build(self) -> World:
        return LaneWorld(self.make())


def found(make: Callable[[], list[Lane]], handlers: tuple[int, ...] = ()) -> tuple[str, str] | None:
    failure = Exhaustive(1).search(LaneCase(make, handlers), Budget()).failure
    return None if failure is None else (failure.check, failure.text())


def spin(name: str) -> SpinLock:
    return SpinLock(LockClass(name))


def test_two_locks_of_one_class_may_not_nest() -> None:
    def make() -> list[Lane]:
        key = LockClass("class")
        outer, inner = SpinLock(key), SpinLock(key)

        def lane() -> None:
            outer.lock()
            inner.lock()
            inner.unlock()
            outer.unlock()

        return [lane]

    report = found(make)
    assert report is not None
    assert report[0] == "lockdep"
    assert "two locks of class class are nested without a subclass" in report[1]


def test_a_trylock_closes_no_circle() -> None:
    def make() -> list[Lane]:
        a, b = spin("a"), spin("b")

        def waits() -> None:
            a.lock()
            b.lock()
            b.unlock()
            a.unlock()

        def tries() -> None:
            b.lock()
            if a.trylock():
                a.unlock()
            b.unlock()

        return [waits, tries]

    assert found(make) is None


def test_a_lock_may_not_be_kept() -> None:
    def make() -> list[Lane]:
        return [spin("kept").lock]

    report = found(make)
    assert report is not None
    assert report[1].startswith("lock held when returning to user space: kept")


def test_an_irq_safe_lock_may_not_wait_for_an_unsafe_one() -> None:
    def make() -> list[Lane]:
        safe, unsafe = spin("safe"), spin("unsafe")

        def elsewhere() -> None:
            unsafe.lock()
            unsafe.unlock()

        def nests() -> None:
            safe.lock_irq()
            unsafe.lock()
            unsafe.unlock()
            safe.unlock_irq()

        def handler() -> None:
            safe.lock()
            safe.unlock()

        return [elsewhere, nests, handler]

    report = found(make, handlers=(0,))
    assert report is not None
    assert report == (
        "lockdep",
        "SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected: safe -> unsafe",
    )


def load(thing: KernelObject) -> None:
    H.watcher.point(RCU_LOAD, thing)
    H.watcher.done(RCU_LOAD, thing, thing)


def use(thing: KernelObject) -> None:
    H.watcher.point(RCU_USE, thing)


def test_a_pointer_is_used_inside_the_section_that_loaded_it() -> None:
    def make(between: Callable[[Rcu, KernelObject], None]) -> Callable[[], list[Lane]]:
        def lanes() -> list[Lane]:
            rcu, thing = Rcu(), KernelObject(1)

            def lane() -> None:
                rcu.read_lock()
                load(thing)
                between(rcu, thing)
                use(thing)
                rcu.read_unlock()

            return [lane]

        return lanes

    def leave(rcu: Rcu, thing: KernelObject) -> None:
        rcu.read_unlock()
        rcu.read_lock()

    def leave_with_reference(rcu: Rcu, thing: KernelObject) -> None:
        thing.try_get()
        leave(rcu, thing)

    def leave_too_late(rcu: Rcu, thing: KernelObject) -> None:
        leave_with_reference(rcu, thing)
        thing.put_testzero()

    assert found(make(lambda rcu, thing: None)) is None
    assert found(make(leave_with_reference)) is None
    for broken in (leave, leave_too_late):
        report = found(make(broken))
        assert report is not None
        assert report[0] == "rcu"
        assert "loaded in a read section that has ended" in report[1]


class LockedList(ListHead):
    def __init__(self) -> None:
        super().__init__()
        self.lock = spin("list")


def test_a_list_is_edited_under_its_own_lock() -> None:
    def make(right: bool) -> Callable[[], list[Lane]]:
        def lanes() -> list[Lane]:
            head, item, other = LockedList(), KernelObject(1), spin("other")
            lock = head.lock if right else other

            def lane() -> None:
                lock.lock()
                list_add_tail(item, head)
                list_del_init(item)
                lock.unlock()

            return [lane]

        return lanes

    assert found(make(True)) is None
    report = found(make(False))
    assert report is not None
    assert report[0] == "list ownership"
    assert "which does not hold its lock" in report[1]


def test_a_splice_edits_both_lists() -> None:
    def make() -> list[Lane]:
        source, target, item = LockedList(), LockedList(), KernelObject(1)
        list_add_tail(item, source)

        def lane() -> None:
            target.lock.lock()
            list_splice(source, target)
            target.lock.unlock()

        return [lane]

    report = found(make)
    assert report is not None
    assert report[0] == "list ownership"


def test_a_shared_list_needs_one_lock_in_common() -> None:
    def make(same: bool) -> Callable[[], list[Lane]]:
        def lanes() -> list[Lane]:
            head, one, other = ListHead(), spin("one"), spin("other")

            def edit(lock: SpinLock) -> Lane:
                item = KernelObject(1)

                def lane() -> None:
                    lock.lock()
                    list_add_tail(item, head)
                    list_del_init(item)
                    lock.unlock()

                return lane

            return [edit(one), edit(one if same else other)]

        return lanes

    assert found(make(True)) is None
    report = found(make(False))
    assert report is not None
    assert "no lock is held at each of its edits" in report[1]


def test_a_freed_object_is_not_touched() -> None:
    def make() -> list[Lane]:
        thing = KernelObject(0)

        def lane() -> None:
            thing.poison()
            thing.test_flag(1)

        return [lane]

    report = found(make)
    assert report is not None
    assert report[0] == "lifetime"
    assert report[1].startswith("use-after-free: read of ")


def test_reference_misuse_is_a_refcount_report() -> None:
    def make() -> list[Lane]:
        thing = KernelObject(1)

        def lane() -> None:
            thing.put_testzero()

        return [lane, lane]

    report = found(make)
    assert report is not None
    assert report[0] == "refcount"


def test_a_plain_update_meets_no_other() -> None:
    def make(atomic: bool) -> Callable[[], list[Lane]]:
        def lanes() -> list[Lane]:
            word = AtomicLong()
            plain: Lane = (lambda: word.add(1)) if atomic else (lambda: word.plain_add(1))
            return [plain, lambda: word.add(1)]

        return lanes

    assert found(make(True)) is None
    report = found(make(False))
    assert report is not None
    assert report[0] == "plain rmw"
