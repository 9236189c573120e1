# SPDX-License-Identifier: GPL-2.0-only
"""What each primitive allows, over all schedules: the set of outcomes is exact."""

from __future__ import annotations

from tests.cpu.litmus import Litmus, outcomes
from thplab.cpu.atomic import AtomicLong, Bitmap
from thplab.cpu.list_head import ListHead, list_add_tail, list_del_init, list_empty
from thplab.cpu.object import KernelObject
from thplab.cpu.rcu import Rcu, RcuHead
from thplab.cpu.spinlock import LockClass, Mutex, SpinLock, local_irq_disable, local_irq_enable
from thplab.cpu.xarray import XArray

KEY = LockClass("key")


def test_store_buffering_never_reads_two_zeros() -> None:
    """Sequential consistency: a real CPU without barriers may."""

    def make() -> Litmus:
        world, x, y, seen = Litmus(), AtomicLong(), AtomicLong(), [-1, -1]

        def first() -> None:
            x.set(1)
            seen[0] = y.read()

        def second() -> None:
            y.set(1)
            seen[1] = x.read()

        world.lanes = [first, second]
        world.result = lambda: tuple(seen)
        return world

    assert outcomes(make) == {(0, 1), (1, 0), (1, 1)}


def test_message_passing_never_sees_the_flag_without_the_message() -> None:
    def make() -> Litmus:
        world, message, flag, seen = Litmus(), AtomicLong(), AtomicLong(), [-1, -1]

        def send() -> None:
            message.set(1)
            flag.set(1)

        def receive() -> None:
            seen[0] = flag.read()
            seen[1] = message.read()

        world.lanes = [send, receive]
        world.result = lambda: tuple(seen)
        return world

    assert outcomes(make) == {(0, 0), (0, 1), (1, 1)}


def test_independent_reads_agree_on_the_order_of_writes() -> None:
    def make() -> Litmus:
        world, x, y = Litmus(), AtomicLong(), AtomicLong()
        seen = [-1, -1, -1, -1]

        def reader(one: AtomicLong, other: AtomicLong, place: int) -> None:
            seen[place] = one.read()
            seen[place + 1] = other.read()

        world.lanes = [
            lambda: x.set(1),
            lambda: y.set(1),
            lambda: reader(x, y, 0),
            lambda: reader(y, x, 2),
        ]
        world.result = lambda: tuple(seen)
        return world

    found = outcomes(make, cpus=4)
    assert (1, 0, 1, 0) not in found
    assert len(found) == 15


def test_plain_additions_lose_and_atomic_ones_do_not() -> None:
    def make(plain: bool) -> Litmus:
        world, word = Litmus(), AtomicLong()
        add = (lambda: word.plain_add(1)) if plain else (lambda: word.add(1))
        world.lanes = [add, add]
        world.result = lambda: word.value
        return world

    assert outcomes(lambda: make(True)) == {1, 2}
    assert outcomes(lambda: make(False)) == {2}


def test_exactly_one_compare_and_exchange_wins() -> None:
    def make() -> Litmus:
        world, word, seen = Litmus(), AtomicLong(), [-1, -1]

        def take(place: int) -> None:
            seen[place] = word.cmpxchg(0, place + 1)

        world.lanes = [lambda: take(0), lambda: take(1)]
        world.result = lambda: (word.value, tuple(seen))
        return world

    assert outcomes(make) == {(1, (0, 1)), (2, (2, 0))}


def test_exchanges_form_a_chain() -> None:
    def make() -> Litmus:
        world, word, seen = Litmus(), AtomicLong(), [-1, -1]

        def swap(place: int) -> None:
            seen[place] = word.xchg(place + 1)

        world.lanes = [lambda: swap(0), lambda: swap(1)]
        world.result = lambda: (word.value, tuple(seen))
        return world

    assert outcomes(make) == {(2, (0, 1)), (1, (2, 0))}


def test_bits_of_one_word_do_not_disturb_each_other() -> None:
    def make() -> Litmus:
        world, bits, seen = Litmus(), Bitmap(), [0]

        def look() -> None:
            seen[0] = bits.snapshot() & word

        world.lanes = [lambda: bits.set_bit(0), lambda: bits.set_bit(63), look]
        world.result = lambda: (bits.word & word, seen[0])
        return world

    # Bit 63 is the sign of the word where that is a machine word.
    word = (1 << 64) - 1
    both = 1 | 1 << 63
    assert outcomes(make, cpus=3) == {(both, 0), (both, 1), (both, 1 << 63), (both, both)}


def test_a_spin_lock_keeps_its_section_whole() -> None:
    def make() -> Litmus:
        world, lock, word = Litmus(), SpinLock(KEY), AtomicLong()

        def section() -> None:
            lock.lock()
            word.plain_add(1)
            lock.unlock()

        world.lanes = [section, section, section]
        world.result = lambda: word.value
        return world

    assert outcomes(make, cpus=3) == {3}


def test_a_trylock_fails_only_while_the_lock_is_held() -> None:
    def make() -> Litmus:
        world, lock, got = Litmus(), SpinLock(KEY), [False]

        def holder() -> None:
            lock.lock()
            lock.unlock()

        def other() -> None:
            got[0] = lock.trylock()
            if got[0]:
                lock.unlock()

        world.lanes = [holder, other]
        world.result = lambda: got[0]
        return world

    assert outcomes(make) == {False, True}


def test_a_mutex_keeps_its_section_whole() -> None:
    def make() -> Litmus:
        world, mutex, word = Litmus(), Mutex(KEY), AtomicLong()

        def section() -> None:
            mutex.lock()
            word.plain_add(1)
            mutex.unlock()

        world.lanes = [section, section]
        world.result = lambda: word.value
        return world

    assert outcomes(make) == {2}


def test_an_interrupt_is_one_piece_to_its_cpu_and_not_to_others() -> None:
    def make(other_cpu: bool) -> Litmus:
        world, word, seen = Litmus(), AtomicLong(), [-1, -1]

        def program() -> None:
            seen[0] = word.read()
            seen[1] = word.read()

        def handler() -> None:
            word.add_return(1)
            word.add_return(1)

        world.lanes = [program, (lambda: None), handler] if other_cpu else [program, handler]
        world.result = lambda: tuple(seen)
        return world

    assert outcomes(lambda: make(False), cpus=1, handlers=(0,)) == {(0, 0), (0, 2), (2, 2)}
    on_another = outcomes(lambda: make(True), cpus=2, handlers=(1,))
    assert on_another == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)}


def test_interrupts_off_hold_the_handler_back() -> None:
    def make() -> Litmus:
        world, word, seen = Litmus(), AtomicLong(), [-1, -1]

        def program() -> None:
            local_irq_disable()
            seen[0] = word.read()
            seen[1] = word.read()
            local_irq_enable()

        world.lanes = [program, lambda: word.set(1)]
        world.result = lambda: tuple(seen)
        return world

    assert outcomes(make, cpus=1, handlers=(0,)) == {(0, 0), (1, 1)}


def test_a_grace_period_ends_no_section_early() -> None:
    def make() -> Litmus:
        world, rcu, pointer, freed, seen = Litmus(), Rcu(), AtomicLong(1), AtomicLong(), [-1, -1]

        def reader() -> None:
            rcu.read_lock()
            seen[0] = pointer.read()
            seen[1] = freed.read()
            rcu.read_unlock()

        def updater() -> None:
            pointer.set(0)
            rcu.synchronize()
            freed.set(1)

        world.lanes = [reader, updater]
        world.result = lambda: tuple(seen)
        return world

    # Whoever saw the old pointer does not see it freed.
    assert outcomes(make) == {(1, 0), (0, 0), (0, 1)}


def test_a_deferred_free_comes_after_every_section_that_could_see_it() -> None:
    def make() -> Litmus:
        world, rcu, pointer, freed, seen = Litmus(), Rcu(), AtomicLong(1), AtomicLong(), [-1, -1]

        class Free(RcuHead):
            def func(self) -> None:
                freed.set(1)

        def reader() -> None:
            rcu.read_lock()
            seen[0] = pointer.read()
            seen[1] = freed.read()
            rcu.read_unlock()

        def updater() -> None:
            pointer.set(0)
            rcu.call(Free())

        world.lanes = [reader, updater]
        world.result = lambda: (tuple(seen), freed.value)
        return world

    assert outcomes(make) == {((1, 0), 1), ((0, 0), 1), ((0, 1), 1)}


def test_the_last_reference_goes_once() -> None:
    def make() -> Litmus:
        world, thing, last, got = Litmus(), KernelObject(2), [False, False], [False]

        def put(place: int) -> None:
            last[place] = thing.put_testzero()

        def get() -> None:
            got[0] = thing.try_get()

        world.lanes = [lambda: put(0), lambda: put(1), get]
        world.result = lambda: (sum(last), got[0], thing.refcount)
        return world

    assert outcomes(make, cpus=3) == {(0, True, 1), (1, False, 0)}


def test_a_freeze_and_a_get_exclude_each_other() -> None:
    def make() -> Litmus:
        world, thing, result = Litmus(), KernelObject(1), [False, False]

        def freeze() -> None:
            result[0] = thing.ref_freeze(1)

        def get() -> None:
            result[1] = thing.try_get()

        world.lanes = [freeze, get]
        world.result = lambda: tuple(result)
        return world

    assert outcomes(make) == {(True, False), (False, True)}


def test_plain_flags_lose_what_atomic_flags_keep() -> None:
    def make(plain: bool) -> Litmus:
        world, thing = Litmus(), KernelObject(1)
        world.lanes = [
            (lambda: thing.plain_set_flag(1)) if plain else (lambda: thing.set_flag(1)),
            lambda: thing.set_flag(2),
        ]
        world.result = lambda: thing.flags
        return world

    assert outcomes(lambda: make(True)) == {1, 3}
    assert outcomes(lambda: make(False)) == {3}


def test_an_unlocked_list_empty_sees_before_or_after() -> None:
    def make() -> Litmus:
        world, head, item, lock, seen = (
            Litmus(),
            ListHead(),
            ListHead(),
            SpinLock(KEY),
            [False, False],
        )

        def edit() -> None:
            lock.lock()
            list_add_tail(item, head)
            list_del_init(item)
            lock.unlock()

        def look() -> None:
            seen[0] = list_empty(item)
            seen[1] = list_empty(head)

        world.lanes = [edit, look]
        world.result = lambda: tuple(seen)
        return world

    assert outcomes(make) == {(True, True), (True, False), (False, True), (False, False)}


def test_a_load_from_an_xarray_sees_the_entry_or_not() -> None:
    def make() -> Litmus:
        world, seen = Litmus(), ["?"]
        xa: XArray[str] = XArray(KEY)

        def store() -> None:
            xa.lock.lock()
            xa.store(3, "entry")
            xa.lock.unlock()

        def load() -> None:
            seen[0] = xa.load(3) or "none"

        world.lanes = [store, load]
        world.result = lambda: seen[0]
        return world

    assert outcomes(make) == {"none", "entry"}
