# SPDX-License-Identifier: GPL-2.0-only
"""Memory that may not be taken away: mlock(2), munlock(2), and the flag of the folios (mm/mlock.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from thplab.mm.geometry import FULL_MASK
from thplab.mm.mm_types import PG_MLOCKED, Folio, Task, Vma
from thplab.mm.vma import vma_covers

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Mlock", "mlock_vma_folio", "munlock_vma_folio"]


def mlock_vma_folio(vma: Vma, folio: Folio) -> None:
    """mlock_vma_folio() (mm/internal.h): a folio that an mlocked region maps whole counts as mlocked."""
    if vma.locked:
        folio.set_flag(PG_MLOCKED)


def munlock_vma_folio(vma: Vma, folio: Folio) -> None:
    """munlock_vma_folio() (mm/internal.h): whatever goes from an mlocked region, the folio counts as mlocked no longer.

    That is so for any part of a large folio, and when its PMD becomes page table entries.
    """
    if vma.locked:
        folio.clear_flag(PG_MLOCKED)


@mypyc_attr(allow_interpreted_subclasses=True)
class Mlock:
    """Locking of regions on one machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine

    def do_mlock(self, task: Task, vma: Vma) -> None:
        """do_mlock(): each page of the region is faulted in, and its huge pages count as mlocked.

        It ends early if the task is killed on the way.
        """
        vma.locked = True
        for slot in range(len(vma.slots)):
            missing = vma.slot_mask(slot) & ~vma.gone.get(slot, 0)
            if not self.machine.memory.populate(task, vma, slot, missing):
                return
            self._mlock_pte_range(vma, slot)
        self.machine.charges.handle_over_high(task.memcg, task.mm)

    def munlock(self, vma: Vma) -> None:
        """munlock(2): the pages stay, and are as others again."""
        vma.locked = False
        for slot in range(len(vma.slots)):
            self._mlock_pte_range(vma, slot)

    def _mlock_pte_range(self, vma: Vma, slot: i64) -> None:
        """mlock_pte_range(): the flag follows the region for a folio that one kind of entries maps whole;
        a partly mapped one is left as it is, and on mlock(2) one that lies in several VMAs (allow_mlock_munlock()).
        """
        here = vma.slots[slot]
        folio: Folio | None = None
        if isinstance(here, Folio):
            folio = here
        elif (
            here is not None
            and here.mask == FULL_MASK
            and (not vma.locked or vma_covers(vma, slot))
        ):
            owner = here.owner
            if isinstance(owner, Folio):
                folio = owner
        if folio is None:
            return
        if vma.locked:
            folio.set_flag(PG_MLOCKED)
        else:
            folio.clear_flag(PG_MLOCKED)
