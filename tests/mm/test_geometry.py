# SPDX-License-Identifier: GPL-2.0-only
"""Sizes of pages: each follows from the two shifts."""

from __future__ import annotations

from thplab.mm import geometry


def test_a_huge_page_has_2_mebibytes_in_512_base_pages() -> None:
    assert geometry.PAGE_SIZE == 1 << geometry.PAGE_SHIFT == 4096
    assert geometry.HPAGE_PMD_NR == 1 << geometry.HPAGE_PMD_ORDER == 512
    assert geometry.HPAGE_PMD_SIZE == 2 << 20


def test_a_mask_has_a_bit_for_each_base_page() -> None:
    masks = [geometry.order_mask(order) for order in range(int(geometry.NR_ORDERS))]
    assert [mask.bit_count() for mask in masks] == [1 << order for order in range(len(masks))]
    assert [mask.bit_length() for mask in masks] == [1 << order for order in range(len(masks))]
    assert masks[-1] == geometry.FULL_MASK
