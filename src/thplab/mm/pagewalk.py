# SPDX-License-Identifier: GPL-2.0-only
"""Looking for what is mapped in a part of a region (mm/pagewalk.c, 7.2)."""

from __future__ import annotations

from mypy_extensions import i64

from thplab.mm.geometry import FULL_MASK
from thplab.mm.mm_types import Folio, Vma

__all__ = ["folio_walk_start"]


def folio_walk_start(vma: Vma, slot: i64, mask: int) -> tuple[Folio | None, int]:
    """folio_walk_start(): the large folio that an entry for one of the pages points to; a slot has one at most.

    The caller holds the page table lock.

    Returns:
        It, and the pages of the slot that it is mapped at; or None and 0.
    """
    here = vma.slots[slot]
    if isinstance(here, Folio):
        return here, FULL_MASK
    mapped = 0
    found: Folio | None = None
    entry = here
    while entry is not None:
        owner = entry.owner
        if isinstance(owner, Folio) and not entry.migrating:
            found = owner
            mapped |= entry.mask
        entry = entry.next
    return (found, mapped) if mapped & mask else (None, 0)
