# SPDX-License-Identifier: GPL-2.0-only
"""Two machines in one process share nothing: neither warnings nor what a CPU holds."""

from __future__ import annotations

import pytest

from tests.mm.small import UPPER, event, halved, small_machine, start, touched
from thplab.cpu.errors import KernelBug, UseAfterFree
from thplab.cpu.hook import Cpu, Entered, H, warn_once
from thplab.cpu.spinlock import LockClass, SpinLock
from thplab.mm.invariants import check
from thplab.mm.machine import Machine
from thplab.mm.mm_types import PG_PARTIALLY_MAPPED, Folio


def crash(machine: Machine) -> None:
    """A use after free in the middle of a final put, with the queue's locks held."""
    task = start(machine)
    vma = touched(machine, task, 1)
    folio = vma.slots[0]
    assert isinstance(folio, Folio)
    machine.memory.zap(vma, 0, UPPER)
    lock = vma.mm.page_table_lock
    lock.lock_irq()
    machine.rcu.read_lock()
    folio.flags |= PG_PARTIALLY_MAPPED
    machine.deferred_split.unqueue(folio)
    folio.poison()
    machine.deferred_split.note_partially_mapped(folio, True)


def test_a_machine_that_warns_and_one_that_crashes_leave_a_third_alone() -> None:
    warning, crashing, clean = (small_machine("list_lru") for _ in range(3))
    with clean.entered():
        task = start(clean)
        vma = halved(clean, task, 2)
    with warning.entered():
        warn_once("WARNING: example")
    with pytest.raises(UseAfterFree), crashing.entered():
        crash(crashing)
    with clean.entered():
        assert not clean.vmscan.memory_reclaim(task.memcg, 1024)
        clean.memory.unmap_vma(vma)
        assert check(clean) == []
    with warning.entered():
        assert check(warning) == []
    assert event(clean, "thp_split_page") == 2
    assert warning.log == {"WARNING: example": 1}
    assert clean.log == {}
    held = crashing.cpus[0]
    assert (held.locks_held, held.rcu_nesting, held.irqs_on) == (1, 1, False)
    with crashing.entered():
        assert any("1 locks held" in sentence for sentence in check(crashing))


def test_what_was_current_comes_back_even_after_an_exception() -> None:
    before = (H.cpu, H.cpus, H.log)
    machine = small_machine(None)
    with pytest.raises(KernelBug, match="current: True True"), machine.entered():
        raise KernelBug(f"current: {H.cpu is machine.cpus[0]} {H.log is machine.log}")
    assert (H.cpu, H.cpus, H.log) == before


def test_one_machine_may_be_entered_inside_another() -> None:
    outer, inner = small_machine(None), small_machine(None)
    with outer.entered():
        outer.rcu.read_lock()
        with inner.entered():
            # Would be refused in a read section.
            inner.rcu.synchronize()
            warn_once("inner")
        assert H.cpu is outer.cpus[0]
        outer.rcu.read_unlock()
        warn_once("outer")
    assert (list(outer.log), list(inner.log)) == (["outer"], ["inner"])


def test_a_machine_can_be_made_whatever_the_current_cpu_holds() -> None:
    lock = SpinLock(LockClass("left behind"))
    with Entered([Cpu(0)], {}):
        lock.lock_irq()
        machine = small_machine("list_lru")
    assert machine.cpus[0].locks_held == 0
