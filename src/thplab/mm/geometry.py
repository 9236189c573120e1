# SPDX-License-Identifier: GPL-2.0-only
"""Sizes of pages on x86-64, and masks with a bit for each base page (include/linux/huge_mm.h, 7.2)."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

__all__ = [
    "FULL_MASK",
    "HPAGE_PMD_NR",
    "HPAGE_PMD_ORDER",
    "HPAGE_PMD_SIZE",
    "NR_ORDERS",
    "PAGE_SHIFT",
    "PAGE_SIZE",
    "order_mask",
]

PAGE_SHIFT: Final[i64] = 12
PAGE_SIZE: Final[i64] = 1 << PAGE_SHIFT
HPAGE_PMD_ORDER: Final[i64] = 9
HPAGE_PMD_NR: Final[i64] = 1 << HPAGE_PMD_ORDER
HPAGE_PMD_SIZE: Final[i64] = HPAGE_PMD_NR * PAGE_SIZE
NR_ORDERS: Final[i64] = HPAGE_PMD_ORDER + 1
"""Orders of anonymous folios: 0, a base page, to HPAGE_PMD_ORDER."""

# A literal, so that compiled code finds it as fast as any constant.
FULL_MASK: Final = (1 << 512) - 1
"""All base pages of a huge page."""

_ORDER_MASKS: Final = [(1 << (1 << order)) - 1 for order in range(int(NR_ORDERS))]


def order_mask(order: i64) -> int:
    """One bit for each base page of a folio of this order."""
    return _ORDER_MASKS[order]
