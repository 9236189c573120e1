# SPDX-License-Identifier: GPL-2.0-only
"""Each primitive on one CPU: with nobody watching, and with a watcher that only looks."""

from __future__ import annotations

import pytest

from thplab.cpu import hook, ops
from thplab.cpu.atomic import AtomicLong, Bitmap
from thplab.cpu.errors import LockBug, RcuBug, RefcountBug, UseAfterFree
from thplab.cpu.hook import H, Watcher, warn_once
from thplab.cpu.list_head import (
    ListHead,
    list_add_tail,
    list_del_init,
    list_release,
)
from thplab.cpu.object import KernelObject
from thplab.cpu.ops import FREE, LINK, LOCK, NAMES, UNLINK, UNLOCK
from thplab.cpu.rcu import Rcu, RcuHead
from thplab.cpu.spinlock import (
    LockClass,
    Mutex,
    SpinLock,
    local_irq_disable,
    local_irq_enable,
    might_sleep,
)
from thplab.cpu.xarray import Ida, XArray

KEY = LockClass("key")


class Recorder(Watcher):
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int]] = []

    def point(self, op: int, obj: object) -> None:
        self.heard.append(("point", op))

    def done(self, op: int, obj: object, arg: object) -> None:
        self.heard.append(("done", op))

    def warning(self, text: str) -> None:
        self.heard.append((text, 0))


@pytest.fixture(params=["nobody watches", "watched"], autouse=True)
def machine(request: pytest.FixtureRequest, cpu_log: dict[str, int]) -> None:
    """Every test twice, on a CPU of its own."""
    if request.param == "watched":
        hook.attach(Watcher())


def test_atomics_do_as_they_say() -> None:
    word = AtomicLong(5)
    assert word.read() == 5
    word.set(7)
    word.add(-2)
    assert word.add_return(1) == 6
    assert word.xchg(9) == 6
    assert word.cmpxchg(1, 2) == 9
    assert word.cmpxchg(9, 2) == 9
    word.plain_add(3)
    assert word.value == 5
    assert repr(word) == "atomic 5"


def test_all_64_bits_of_a_bit_map_can_be_set() -> None:
    bits = Bitmap()
    bits.set_bit(63)
    bits.set_bit(0)
    assert bits.test_bit(63)
    assert not bits.test_bit(1)
    # Bit 63 is the sign of the word where that is a machine word.
    assert bits.snapshot() & (1 << 64) - 1 == 1 | 1 << 63
    bits.clear_bit(63)
    assert bits.snapshot() == 1


def test_the_next_bit_is_that_of_the_word_as_it_is_now() -> None:
    bits = Bitmap()
    assert bits.find_next_bit(0) == 64
    for bit in (3, 63):
        bits.set_bit(bit)
    assert [bits.find_next_bit(bit) for bit in (0, 3, 4, 63, 64)] == [3, 3, 63, 63, 64]
    bits.clear_bit(63)
    assert bits.find_next_bit(4) == 64


def test_references_are_counted_and_misuse_is_found() -> None:
    thing = KernelObject(1)
    thing.get()
    assert not thing.put_testzero()
    assert not thing.ref_freeze(2)
    assert thing.ref_freeze(1)
    assert not thing.try_get()
    thing.ref_unfreeze(1)
    assert thing.try_get()
    assert thing.ref_count() == 2
    assert thing.put_testzero(2)
    with pytest.raises(RefcountBug, match="underflow"):
        thing.put_testzero()
    with pytest.raises(RefcountBug, match="addition on 0"):
        thing.get()
    thing.refcount = 1
    with pytest.raises(RefcountBug, match="unfreeze of a count of 1"):
        thing.ref_unfreeze(1)


def test_flags_are_set_and_cleared() -> None:
    thing = KernelObject(1)
    thing.set_flag(1)
    assert thing.test_flag(1)
    assert thing.test_and_set_flag(1)
    assert not thing.test_and_set_flag(2)
    thing.clear_flag(1)
    thing.plain_set_flag(4)
    thing.plain_clear_flag(2)
    assert thing.flags == 4


def test_a_freed_object_is_poisoned_once() -> None:
    thing = KernelObject(0)
    assert not thing.is_freed()
    thing.poison()
    assert thing.is_freed()
    with pytest.raises(UseAfterFree, match="double free"):
        thing.poison()
    head = ListHead()
    listed = KernelObject(0)
    list_add_tail(listed, head)
    with pytest.raises(UseAfterFree, match="freed while still on a list"):
        listed.poison()
    list_release(head)


def test_locks_know_their_holder() -> None:
    lock = SpinLock(KEY)
    lock.lock()
    assert repr(lock) == "key{held by CPU0}"
    assert not lock.trylock()
    with pytest.raises(LockBug, match="recursive locking"):
        lock.lock()
    lock.assert_held()
    lock.unlock()
    with pytest.raises(LockBug, match="bad unlock balance"):
        lock.unlock()
    assert lock.trylock()
    lock.unlock()
    assert not H.log
    lock.assert_held()
    assert len(H.log) == 1


def test_irqsave_restores_and_irq_turns_on() -> None:
    lock = SpinLock(KEY)
    lock.lock_irqsave()
    assert not H.cpu.irqs_on
    lock.unlock_irqrestore()
    assert H.cpu.irqs_on
    local_irq_disable()
    lock.lock_irqsave()
    lock.unlock_irqrestore()
    assert not H.cpu.irqs_on
    lock.lock_irq()
    lock.unlock_irq()
    assert H.cpu.irqs_on
    local_irq_disable()
    local_irq_enable()
    assert H.cpu.irqs_on


def test_nobody_sleeps_where_it_is_forbidden() -> None:
    mutex, lock, rcu = Mutex(KEY), SpinLock(KEY), Rcu()
    mutex.lock()
    with pytest.raises(LockBug, match="recursive locking"):
        mutex.lock()
    mutex.unlock()
    with pytest.raises(LockBug, match="bad unlock balance"):
        mutex.unlock()
    assert repr(mutex) == "key"
    lock.lock_nested(1)
    with pytest.raises(LockBug, match="invalid context"):
        mutex.lock()
    lock.unlock()
    rcu.read_lock()
    with pytest.raises(LockBug, match="inside an RCU read section"):
        might_sleep("something")
    rcu.read_unlock()


def test_a_free_waits_for_the_outermost_section() -> None:
    freed: list[bool] = []

    class Head(RcuHead):
        def func(self) -> None:
            freed.append(True)

    rcu = Rcu()
    rcu.read_lock()
    rcu.read_lock()
    rcu.call(Head())
    rcu.read_unlock()
    assert rcu.read_lock_held()
    assert not freed
    assert len(rcu.pending) == 1
    with pytest.raises(RcuBug, match="Illegal synchronize_rcu"):
        rcu.synchronize()
    rcu.read_unlock()
    assert freed
    rcu.synchronize()
    assert rcu.pending == []
    with pytest.raises(RcuBug, match="outside of a read section"):
        rcu.read_unlock()
    rcu.call(Head())
    assert len(freed) == 2
    assert repr(rcu) == "rcu"


def test_xarray_entries_are_found_by_index() -> None:
    xa: XArray[str] = XArray(KEY)
    assert xa.load(5) is None
    xa.lock.lock()
    xa.store(2, "two")
    xa.store(0, "zero")
    assert xa.erase(9) is None
    assert xa.erase(0) == "zero"
    xa.lock.unlock()
    assert xa.entries() == [(2, "two")]
    assert xa.load(2) == "two"
    assert not H.log
    xa.store(1, "without the lock")
    assert len(H.log) == 1


def test_the_lowest_free_id_is_given() -> None:
    ida = Ida()
    assert [ida.alloc() for _ in range(3)] == [0, 1, 2]
    ida.free(1)
    assert ida.alloc() == 1
    assert ida.alloc() == 3


def test_each_warning_is_kept_once_with_its_count() -> None:
    warn_once("odd")
    warn_once("odd")
    assert H.log == {"odd": 2}


def test_the_watcher_hears_of_each_operation_before_and_after() -> None:
    recorder = Recorder()
    hook.attach(recorder)
    head, lock, thing = ListHead(), SpinLock(KEY), KernelObject(0)
    lock.lock()
    list_add_tail(thing, head)
    list_del_init(thing)
    lock.unlock()
    thing.poison()
    warn_once("odd")
    assert recorder.heard == [
        ("point", LOCK),
        ("done", LOCK),
        ("point", LINK),
        ("done", LINK),
        ("point", UNLINK),
        ("done", UNLINK),
        ("point", UNLOCK),
        ("done", UNLOCK),
        ("done", FREE),
        ("odd", 0),
    ]


def test_each_operation_has_a_name_of_its_own() -> None:
    codes = {value for name, value in vars(ops).items() if name.isupper() and name != "NAMES"}
    assert set(NAMES) == codes
    assert len(set(NAMES.values())) == len(codes)
