# SPDX-License-Identifier: GPL-2.0-only
"""The VMAs that one region consists of, after munmap(2) and mprotect(2) of parts (mm/vma.c, 7.3).

A region is mapped as one VMA. In the kernel each piece is a VMA of its own: no huge page fits across a
boundary, and whoever works VMA by VMA treats a slot that several pieces share in several steps.
"""

from __future__ import annotations

from bisect import bisect_right

from mypy_extensions import i64

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.mm.mm_types import Vma, VmaPiece

__all__ = [
    "anon_vma_prepare",
    "cut_vma",
    "in_pieces",
    "mask_in",
    "piece_at",
    "vma_covers",
    "vma_modify",
]


def _end(piece: VmaPiece) -> int:
    return int(piece.end)


def piece_at(vma: Vma, page: i64) -> int:
    """The index of the piece that has this base page, or of the next one if none has it."""
    return bisect_right(vma.pieces, int(page), key=_end)


def vma_covers(vma: Vma, slot: i64) -> bool:
    """thp_vma_suitable_order() (include/linux/huge_mm.h): one VMA has all of the slot's 512 pages."""
    first = slot * HPAGE_PMD_NR
    if not vma.anon_vma.cut:
        return first + HPAGE_PMD_NR <= vma.nr_pages
    at = piece_at(vma, first)
    if at == len(vma.pieces):
        return False
    piece = vma.pieces[at]
    return piece.first <= first and first + HPAGE_PMD_NR <= piece.end


def in_pieces(vma: Vma, slot: i64, mask: int) -> list[int]:
    """The pages of `mask` in this slot, VMA by VMA, ascending."""
    if vma_covers(vma, slot):
        return [mask]
    found: list[int] = []
    start = slot * HPAGE_PMD_NR
    at = piece_at(vma, start)
    while at < len(vma.pieces) and vma.pieces[at].first < start + HPAGE_PMD_NR:
        piece = vma.pieces[at]
        part = mask & mask_in(piece.first, piece.end, start)
        if part:
            found.append(part)
        at += 1
    return found


def mask_in(first: i64, end: i64, start: i64) -> int:
    """Those of the 512 pages from `start` on that the pages `first` to `end` - 1 are."""
    low = max(first - start, 0)
    high = min(end - start, HPAGE_PMD_NR)
    return (FULL_MASK >> int(HPAGE_PMD_NR - high)) & ~((1 << int(low)) - 1)


def cut_vma(vma: Vma, first: i64, end: i64) -> None:
    """__split_vma(): munmap(2) of the base pages `first` to `end` - 1; what is left is inserted anew."""
    pieces = vma.pieces
    anon_vma = vma.anon_vma
    anon_vma.cut = True
    at = piece_at(vma, first)
    beyond = at
    left: list[VmaPiece] = []
    while beyond < len(pieces) and pieces[beyond].first < end:
        piece = pieces[beyond]
        if piece.first < first:
            left.append(piece.part(piece.first, first, anon_vma.next_turn()))
        if piece.end > end:
            left.append(piece.part(end, piece.end, anon_vma.next_turn()))
        beyond += 1
    pieces[at:beyond] = left


def anon_vma_prepare(vma: Vma, slot: i64, mask: int) -> None:
    """__anon_vma_prepare() (mm/rmap.c): of each VMA that has a page of `mask`, as a write fault calls it.

    It takes a neighbour's anon_vma if it can (find_mergeable_anon_vma()), so that the two can be merged
    later; the next one's before the previous one's, and none that a fork has copied.
    """
    pieces = vma.pieces
    start = slot * HPAGE_PMD_NR
    at = piece_at(vma, start)
    while at < len(pieces) and pieces[at].first < start + HPAGE_PMD_NR:
        piece = pieces[at]
        if not piece.anon and mask & mask_in(piece.first, piece.end, start):
            if at + 1 < len(pieces) and pieces[at + 1].first == piece.end:
                piece.anon = _reusable(pieces[at + 1])
            if not piece.anon and at > 0 and pieces[at - 1].end == piece.first:
                piece.anon = _reusable(pieces[at - 1])
            if not piece.anon:
                piece.anon = vma.anon_vma.next_turn()
        at += 1
    vma.untouched = any(not piece.anon for piece in pieces)


def _reusable(piece: VmaPiece) -> i64:
    """reusable_anon_vma(): of a neighbour."""
    return 0 if piece.forked else piece.anon


def vma_modify(vma: Vma, at: int, first: i64, end: i64, access: i64, into_untouched: bool) -> int:
    """vma_modify(): the base pages `first` to `end` - 1, all of the piece `at`, get another access.

    They are merged with a neighbour that has it already (vma_merge_existing_range()), or become a VMA
    of their own.

    Args:
        into_untouched: memory that was touched is merged into a neighbour that was not (6.16).

    Returns:
        The index of the piece that has the pages now.
    """
    pieces = vma.pieces
    piece = pieces[at]
    anon_vma = vma.anon_vma
    lowest, beyond = at, at + 1
    before = pieces[at - 1] if at > 0 and piece.first == first else None
    if before is not None and not (
        before.end == first and _mergeable(before, piece, access, into_untouched)
    ):
        before = None
    after = pieces[at + 1] if at + 1 < len(pieces) and piece.end == end else None
    if after is not None and not (
        after.first == end
        and _mergeable(after, piece, access, into_untouched)
        and (before is None or not before.anon or not after.anon or before.anon == after.anon)
    ):
        after = None
    if before is None and after is None and piece.first == first and piece.end == end:
        piece.access = access
        return at
    anon_vma.cut = True
    left: list[VmaPiece] = []
    if piece.first < first:
        left.append(piece.part(piece.first, first, anon_vma.next_turn()))
    right: list[VmaPiece] = []
    if piece.end > end:
        right.append(piece.part(end, piece.end, anon_vma.next_turn()))
    changed = piece.part(first, end, anon_vma.next_turn())
    changed.access = access
    for neighbour in (before, after):
        if neighbour is not None:
            changed.first = min(changed.first, neighbour.first)
            changed.end = max(changed.end, neighbour.end)
            if not changed.anon:
                changed.anon = neighbour.anon
                changed.forked = neighbour.forked
    if before is not None:
        lowest -= 1
    if after is not None:
        beyond += 1
    pieces[lowest:beyond] = [*left, changed, *right]
    return lowest + len(left)


def _mergeable(target: VmaPiece, piece: VmaPiece, access: i64, into_untouched: bool) -> bool:
    """is_mergeable_vma(), is_mergeable_anon_vma(): equal access, and one anon_vma or only one that has any."""
    if target.access != access:
        return False
    if target.anon and not piece.anon:
        return not target.forked
    if piece.anon and not target.anon:
        return into_untouched and not piece.forked
    return target.anon == piece.anon
