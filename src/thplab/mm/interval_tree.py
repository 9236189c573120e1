# SPDX-License-Identifier: GPL-2.0-only
"""Which regions may map a folio, in the order that a reverse map walk takes (include/linux/mm.h, 7.3).

munmap(2) of a part leaves pieces, each a VMA of its own in the kernel. A walk goes by where a piece
begins, and among equals by when it was inserted. The order shows: a PMD that goes before another task's page
table entries leaves a folio that looks partly mapped on the way.
"""

from __future__ import annotations

from bisect import bisect_right

from mypy_extensions import i64

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.mm_types import AnonVma, Vma, VmaPiece

__all__ = ["anon_vma_interval_tree", "cut_vma"]


def _end(piece: VmaPiece) -> int:
    return int(piece.end)


def cut_vma(vma: Vma, first: i64, end: i64) -> None:
    """__split_vma() (mm/vma.c): munmap(2) of the base pages `first` to `end` - 1; what is left is inserted anew."""
    pieces = vma.pieces
    anon_vma = vma.anon_vma
    anon_vma.cut = True
    at = bisect_right(pieces, int(first), key=_end)
    beyond = at
    left: list[VmaPiece] = []
    while beyond < len(pieces) and pieces[beyond].first < end:
        piece = pieces[beyond]
        if piece.first < first:
            left.append(VmaPiece(piece.first, first, anon_vma.next_turn()))
        if piece.end > end:
            left.append(VmaPiece(end, piece.end, anon_vma.next_turn()))
        beyond += 1
    pieces[at:beyond] = left


def anon_vma_interval_tree(anon_vma: AnonVma, slot: i64) -> list[tuple[Vma, int]]:
    """anon_rmap_tree_foreach(): for the folio at a huge-page-sized slot (until 7.2 anon_vma_interval_tree_foreach()).

    Returns:
        The regions, each with those of the slot's 512 pages (a bit each) that the piece has; a region
        with several pieces there comes several times.
    """
    vmas = anon_vma.vmas
    if not anon_vma.cut or len(vmas) == 1:
        return [(vma, FULL_MASK) for vma in vmas]
    start = slot * HPAGE_PMD_NR
    found: list[tuple[int, int, Vma, int]] = []
    for vma in vmas:
        pieces = vma.pieces
        at = bisect_right(pieces, int(start), key=_end)
        while at < len(pieces) and pieces[at].first < start + HPAGE_PMD_NR:
            piece = pieces[at]
            low = max(piece.first - start, 0)
            high = min(piece.end - start, HPAGE_PMD_NR)
            mask = (FULL_MASK >> int(HPAGE_PMD_NR - high)) & ~((1 << int(low)) - 1)
            found.append((int(piece.first), int(piece.turn), vma, mask))
            at += 1
    found.sort(key=_place)
    return [(vma, mask) for _first, _turn, vma, mask in found]


def _place(found: tuple[int, int, Vma, int]) -> tuple[int, int]:
    return found[0], found[1]
