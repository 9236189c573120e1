# SPDX-License-Identifier: GPL-2.0-only
"""What an allocation may do to get its memory (include/linux/gfp_types.h, 7.2): the bits that matter here."""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

__all__ = [
    "GFP_DIRECT_RECLAIM",
    "GFP_KERNEL",
    "GFP_KSWAPD_RECLAIM",
    "GFP_NORETRY",
    "GFP_THISNODE",
    "GFP_TRANSHUGE",
    "GFP_TRANSHUGE_LIGHT",
]

GFP_DIRECT_RECLAIM: Final[i64] = 1 << 0
GFP_KSWAPD_RECLAIM: Final[i64] = 1 << 1
GFP_NORETRY: Final[i64] = 1 << 2
GFP_THISNODE: Final[i64] = 1 << 3

GFP_KERNEL: Final[i64] = (1 << 0) | (1 << 1)
GFP_TRANSHUGE_LIGHT: Final[i64] = 0
GFP_TRANSHUGE: Final[i64] = 1 << 0
