# SPDX-License-Identifier: GPL-2.0-only
"""What a process says about its memory: madvise(2) (mm/madvise.c, 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mypy_extensions import i64, mypyc_attr

from thplab.mm.geometry import FULL_MASK
from thplab.mm.mm_types import Vma
from thplab.mm.vma import vma_covers

if TYPE_CHECKING:
    from thplab.mm.machine import Machine

__all__ = ["Madvise"]


@mypyc_attr(allow_interpreted_subclasses=True)
class Madvise:
    """Advice on one machine.

    Attributes:
        pt_reclaim: MADV_DONTNEED frees empty page tables (CONFIG_PT_RECLAIM, 6.14).
    """

    def __init__(self, machine: Machine) -> None:
        self.machine: Machine = machine
        self.pt_reclaim: bool = True

    def dontneed(self, vma: Vma, slot: i64, mask: int) -> bool:
        """madvise_dontneed_free(): MADV_DONTNEED of one slot. False is -EINVAL: the region is mlocked.

        Since 6.14 an empty page table goes with its last entry, if the range covers all of it.
        """
        if vma.locked:
            return False
        self.machine.memory.zap_page_range(vma, slot, mask)
        if self.pt_reclaim and mask & FULL_MASK == FULL_MASK and vma_covers(vma, slot):
            vma.empty_tables.discard(int(slot))
        return True
