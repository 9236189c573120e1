# SPDX-License-Identifier: GPL-2.0-only
"""The parts of each huge page that a step is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thplab.mm.geometry import FULL_MASK, HPAGE_PMD_NR
from thplab.scenario.extent import Extent
from thplab.scenario.parts import PARTS, Part

EACH = " of each huge page"


def pages(mask: int) -> set[int]:
    """The pages of a mask, bit by bit."""
    return {page for page in range(HPAGE_PMD_NR) if mask >> page & 1}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("all", set(range(512))),
        ("upper half" + EACH, set(range(256, 512))),
        ("lower half" + EACH, set(range(256))),
        ("first page" + EACH, {0}),
        ("all but the first page" + EACH, set(range(1, 512))),
        ("page 7" + EACH, {7}),
        ("page 511" + EACH, {511}),
        ("pages 16-31" + EACH, set(range(16, 32))),
        ("pages 0-511" + EACH, set(range(512))),
    ],
)
def test_a_part_names_base_pages(part: str, expected: set[int]) -> None:
    assert pages(Part.parse(part).mask) == expected


@pytest.mark.parametrize(
    "part",
    ["", "half", "page 512" + EACH, "pages 9-3" + EACH, "pages 1-512" + EACH, "page 7", "all "],
)
def test_other_parts_are_refused(part: str) -> None:
    with pytest.raises(ValueError, match=r"part|page"):
        Part.parse(part)


def test_every_form_that_messages_offer_is_understood() -> None:
    assert all(0 < Part.parse(part).mask <= FULL_MASK for part in PARTS)


extents = st.builds(
    lambda first, length, mask: Extent(first, first + length, mask),
    st.integers(0, 1600),
    st.integers(1, 1200),
    st.sampled_from([Part.parse(part).mask for part in PARTS]),
)


def members(*of: Extent) -> list[int]:
    """The pages, as often as an extent has them."""
    return sorted(
        page
        for extent in of
        for page in range(extent.first, extent.end)
        if extent.mask >> page % HPAGE_PMD_NR & 1
    )


@given(extents, extents)
def test_extents_overlap_exactly_when_they_share_a_page(one: Extent, other: Extent) -> None:
    assert one.overlaps(other) == bool(set(members(one)) & set(members(other)))


@given(extents, extents)
def test_what_is_left_of_an_extent_has_each_page_once(one: Extent, other: Extent) -> None:
    taken = set(members(other))
    assert members(*one.without(other)) == [page for page in members(one) if page not in taken]
