# SPDX-License-Identifier: GPL-2.0-only
"""One execution: who waits, who may interrupt, what ends it, and what is told of a case that cannot be searched."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from thplab.cpu.atomic import AtomicLong
from thplab.cpu.hook import H
from thplab.cpu.rcu import Rcu
from thplab.cpu.spinlock import LockClass, Mutex, SpinLock
from thplab.errors import DesignError
from thplab.explorer.core_check import Case, World
from thplab.explorer.strategies.exhaustive import Exhaustive
from thplab.explorer.strategies.pct import Pct
from thplab.explorer.strategies.random_walk import RandomWalk
from thplab.explorer.verdict import Budget, Verdict

KEY = LockClass("key")
Lane = Callable[[], None]


class Small(World):
    """A world from a function that returns its lanes."""

    def __init__(self, make: Callable[[], list[Lane]]) -> None:
        self.lanes = make()

    def programs(self) -> list[Lane]:
        return self.lanes


class SmallCase(Case):
    def __init__(
        self, make: Callable[[], list[Lane]], cpus: int = 2, handlers: tuple[int, ...] = ()
    ) -> None:
        super().__init__("small", cpus)
        self.make = make
        self.handlers = list(handlers)
        self.max_steps = 300

    def build(self) -> World:
        return Small(self.make)


def searched(case: Case, bound: int | None = 2) -> Verdict:
    return Exhaustive(bound).search(case, Budget())


def failure_of(case: Case, bound: int | None = 2) -> tuple[str, str]:
    failure = searched(case, bound).failure
    assert failure is not None
    return failure.check, failure.text()


def test_two_locks_in_opposite_order_are_a_deadlock_in_the_making() -> None:
    def make() -> list[Lane]:
        a, b = SpinLock(LockClass("a")), SpinLock(LockClass("b"))

        def take(first: SpinLock, second: SpinLock) -> Lane:
            def lane() -> None:
                first.lock()
                second.lock()
                second.unlock()
                first.unlock()

            return lane

        return [take(a, b), take(b, a)]

    assert failure_of(SmallCase(make)) == (
        "lockdep",
        "possible circular locking dependency detected: b -> a, and a comes before b elsewhere",
    )


def test_nobody_can_go_on_is_a_deadlock() -> None:
    def make() -> list[Lane]:
        a, b = SpinLock(KEY), SpinLock(KEY)

        def take(first: SpinLock, second: SpinLock) -> Lane:
            def lane() -> None:
                first.lock()
                # A subclass, so that only the deadlock itself is left to be found.
                second.lock_nested(1)
                second.unlock()
                first.unlock()

            return lane

        return [take(a, b), take(b, a)]

    check, text = failure_of(SmallCase(make))
    assert check == "deadlock"
    assert text == "deadlock: CPU0 waits for key{held by CPU1}; CPU1 waits for key{held by CPU0}"


def test_waiting_for_ones_own_grace_period_is_reported() -> None:
    def make() -> list[Lane]:
        rcu = Rcu()

        def lane() -> None:
            rcu.read_lock()
            rcu.synchronize()
            rcu.read_unlock()

        return [lane]

    assert failure_of(SmallCase(make, cpus=1))[0] == "rcu"


def test_a_loop_that_nobody_ends_is_a_livelock_and_is_shown() -> None:
    def make() -> list[Lane]:
        word = AtomicLong()

        def spin() -> None:
            while word.read() == 0:
                word.add(0)

        return [spin]

    check, text = failure_of(SmallCase(make, cpus=1))
    assert check == "livelock"
    assert text == (
        "livelock: no end after 300 steps; the last 2 steps were made over and over: "
        "CPU0 read atomic 0; CPU0 atomic_add atomic 0"
    )


def test_waiting_costs_no_preemption() -> None:
    def make() -> list[Lane]:
        lock, mutex, word = SpinLock(KEY), Mutex(LockClass("mutex")), AtomicLong()

        def lane() -> None:
            mutex.lock()
            lock.lock()
            word.add_return(1)
            lock.unlock()
            mutex.unlock()

        return [lane, lane]

    verdict = searched(SmallCase(make), 0)
    assert verdict.failure is None
    assert verdict.by_bound == {0: 2}


def interrupted(with_irqs_off: bool) -> SmallCase:
    def make() -> list[Lane]:
        lock = SpinLock(KEY)

        def program() -> None:
            if with_irqs_off:
                lock.lock_irqsave()
                lock.unlock_irqrestore()
            else:
                lock.lock()
                lock.unlock()

        def handler() -> None:
            lock.lock()
            lock.unlock()

        return [program, handler]

    return SmallCase(make, cpus=1, handlers=(0,))


def test_an_interrupt_comes_at_any_point_with_interrupts_on() -> None:
    check, text = failure_of(interrupted(with_irqs_off=False))
    assert check == "lockdep"
    assert "inconsistent lock state" in text or "recursive" in text


def test_no_interrupt_comes_with_interrupts_off() -> None:
    verdict = searched(interrupted(with_irqs_off=True), None)
    assert verdict.failure is None
    assert verdict.all_schedules


def test_an_interrupt_is_never_interleaved_with_its_own_cpu() -> None:
    def make() -> list[Lane]:
        word = AtomicLong()

        def program() -> None:
            word.add_return(1)
            word.add_return(1)

        def handler() -> None:
            before = word.read()
            assert H.cpu.in_irq == 1
            assert word.read() == before

        return [program, handler]

    verdict = searched(SmallCase(make, cpus=1, handlers=(0,)), None)
    assert verdict.failure is None
    assert verdict.executions == 3


def test_each_allocation_is_made_to_fail_once() -> None:
    seen: set[tuple[bool, ...]] = set()

    def make() -> list[Lane]:
        failed: list[bool] = []

        def lane() -> None:
            word = AtomicLong()
            for _ in range(3):
                word.read()
                failed.append(H.on and H.watcher.fails("something"))
            seen.add(tuple(failed))

        return [lane]

    verdict = searched(SmallCase(make, cpus=1))
    assert verdict.faults == 3
    assert seen == {
        (False, False, False),
        (True, False, False),
        (False, True, False),
        (False, False, True),
    }


def test_a_grace_period_waits_for_who_holds_a_spin_lock() -> None:
    def make() -> list[Lane]:
        rcu, lock, word = Rcu(), SpinLock(KEY), AtomicLong()

        def reader() -> None:
            lock.lock()
            before = word.read()
            assert word.read() == before
            lock.unlock()

        def writer() -> None:
            if not lock.owner:
                return
            rcu.synchronize()
            word.set(1)

        return [reader, writer]

    assert searched(SmallCase(make), None).failure is None


def test_a_case_that_is_not_deterministic_is_told_where_its_runs_part() -> None:
    runs = [0]

    def make() -> list[Lane]:
        word = AtomicLong()
        runs[0] += 1
        number = runs[0]

        def lane() -> None:
            word.add_return(1)
            if number % 2:
                word.read()
            else:
                word.set(0)
            word.add_return(1)

        return [lane, lane]

    with pytest.raises(
        DesignError, match=r"small: it is not deterministic: two runs of one schedule part at step"
    ):
        searched(SmallCase(make))


def test_code_that_raises_is_told_from_a_bug_that_was_found() -> None:
    def make() -> list[Lane]:
        word = AtomicLong()

        def lane() -> None:
            word.read()
            raise ValueError("not the kernel's fault")

        return [lane]

    with pytest.raises(
        DesignError, match="the code raised ValueError: not the kernel's fault, at step 1"
    ):
        searched(SmallCase(make, cpus=1))


def lost_update() -> SmallCase:
    def make() -> list[Lane]:
        word = AtomicLong()

        def lane() -> None:
            word.plain_add(1)

        return [lane, lane]

    return SmallCase(make)


@pytest.mark.parametrize("strategy", [Exhaustive(), RandomWalk(), Pct(), RandomWalk(7), Pct(7)])
def test_every_strategy_finds_a_lost_update(strategy: Exhaustive | RandomWalk) -> None:
    verdict = strategy.search(lost_update(), Budget(executions=1000))
    assert verdict.failure is not None
    assert verdict.failure.check == "plain rmw"


def test_a_seed_walks_the_same_way_twice() -> None:
    first = RandomWalk(3).search(lost_update(), Budget(executions=1000))
    second = RandomWalk(3).search(lost_update(), Budget(executions=1000))
    assert first.executions == second.executions
    assert first.failure is not None
    assert second.failure is not None
    assert first.failure.schedule == second.failure.schedule


def test_nothing_is_left_attached_after_a_search() -> None:
    before = (False, H.cpu, list(H.cpus), dict(H.log))
    searched(lost_update())
    assert (H.on, H.cpu, H.cpus, H.log) == before


def test_the_verdict_says_what_no_failure_is_worth() -> None:
    def make() -> list[Lane]:
        word = AtomicLong()

        def lane() -> None:
            for _ in range(4):
                word.add_return(1)

        return [lane, lane]

    verdict = searched(SmallCase(make), 1)
    assert verdict.coverage() == "all schedules with up to 1 preemptions"
    assert searched(SmallCase(make), None).coverage() == "all schedules"
    stopped = Exhaustive(3).search(SmallCase(make), Budget(executions=5))
    assert not stopped.exhausted
    assert stopped.executions == 5
