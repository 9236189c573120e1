# SPDX-License-Identifier: GPL-2.0-only
"""Page counters: limits up the tree, and the protection of memory.min and memory.low."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thplab.mm.page_counter import PAGE_COUNTER_MAX, PageCounter, effective_protection


def chain(*limits: int) -> list[PageCounter]:
    """Counters one below the other, with these limits."""
    counters: list[PageCounter] = []
    for limit in limits:
        counters.append(PageCounter(counters[-1] if counters else None))
        counters[-1].max = limit
    return counters


def test_a_charge_counts_in_every_ancestor() -> None:
    top, middle, low = chain(100, 100, 100)
    assert low.try_charge(30) is None
    assert middle.try_charge(20) is None
    assert [top.usage, middle.usage, low.usage] == [50, 50, 30]
    low.uncharge(10)
    assert [top.usage, middle.usage, low.usage] == [40, 40, 20]


@pytest.mark.parametrize(
    ("limits", "who"), [((10, 100, 100), 0), ((100, 10, 100), 1), ((10, 10, 9), 2)]
)
def test_the_nearest_limit_in_the_way_is_named_and_nothing_is_charged(
    limits: tuple[int, ...], who: int
) -> None:
    counters = chain(*limits)
    assert counters[-1].try_charge(11) is counters[who]
    assert [counter.usage for counter in counters] == [0, 0, 0]


def test_a_limit_can_be_reached_but_not_passed() -> None:
    (only,) = chain(10)
    assert only.try_charge(10) is None
    assert only.margin() == 0
    assert only.try_charge(1) is only
    only.charge(5)
    assert (only.usage, only.margin()) == (15, 0)


def test_more_cannot_be_uncharged_than_was_charged() -> None:
    (only,) = chain(10)
    with pytest.raises(AssertionError, match="underflow"):
        only.uncharge(1)


def test_room_is_what_the_tightest_ancestor_leaves() -> None:
    top, middle, low = chain(100, 50, PAGE_COUNTER_MAX)
    low.charge(30)
    assert (low.room(), top.room()) == (20, 70)
    top.high = 35
    assert low.room() == 5
    top.high = 20
    assert low.room() == 20, "who is over memory.high already has no more of it to keep"
    middle.max = 1000
    assert low.room() == 64, "but reclaims after each batch"
    middle.max = 10
    assert low.room() == -20
    assert low.margin() > 0


# Protection


def test_the_first_level_below_the_reclaim_root_has_what_it_was_set_to() -> None:
    root = PageCounter(None)
    child = PageCounter(root)
    child.min, child.low, child.usage = 5, 500, 100
    child.calculate_protection(root, False)
    assert (child.emin, child.elow) == (5, 500)


def test_the_reclaim_root_itself_is_not_protected() -> None:
    root = PageCounter(None)
    child = PageCounter(root)
    child.min, child.usage = 50, 100
    child.calculate_protection(child, False)
    root.calculate_protection(child, False)
    assert (child.emin, root.emin) == (0, 0)


def test_siblings_share_what_their_parent_is_entitled_to() -> None:
    root = PageCounter(None)
    parent = PageCounter(root)
    parent.low = 60
    first, second = PageCounter(parent), PageCounter(parent)
    first.low, second.low = 100, 50
    first.charge(100)
    second.charge(80)
    for counter in (parent, first, second):
        counter.calculate_protection(root, False)
    assert (first.elow, second.elow) == (40, 20)
    assert (first.emin, second.emin) == (0, 0)


def test_a_setting_that_is_not_used_protects_nothing() -> None:
    root = PageCounter(None)
    parent = PageCounter(root)
    parent.min = 60
    idle, busy = PageCounter(parent), PageCounter(parent)
    idle.min, busy.min = 60, 60
    busy.charge(60)
    for counter in (parent, idle, busy):
        counter.calculate_protection(root, False)
    assert (idle.emin, busy.emin) == (0, 60)


SIZES = st.integers(min_value=0, max_value=1 << 40)


@given(usage=SIZES, setting=SIZES, parent=SIZES, others=SIZES)
def test_protection_is_the_proportional_share_rounded_down(
    usage: int, setting: int, parent: int, others: int
) -> None:
    mine = min(usage, setting)
    siblings = mine + others
    share = Fraction(mine) if siblings <= parent else Fraction(mine) * parent / siblings
    found = effective_protection(usage, usage + others, setting, parent, siblings, False)
    assert found == int(share)


@given(SIZES, SIZES, SIZES, SIZES, st.integers(min_value=0, max_value=1 << 20))
def test_what_nobody_claimed_is_shared_by_what_is_used_without_protection(
    usage: int, setting: int, parent: int, others: int, more: int
) -> None:
    """With memory_recursiveprot: the rest of what the parent is entitled to, by unprotected usage."""
    mine = min(usage, setting)
    siblings = mine + others
    used = usage + others + more
    plain = effective_protection(usage, used, setting, parent, siblings, False)
    found = effective_protection(usage, used, setting, parent, siblings, True)
    rest = Fraction(0)
    if siblings < parent and used > siblings:
        rest = Fraction(parent - siblings) * (usage - mine) / (used - siblings)
    assert found == plain + int(rest)


def test_a_lone_child_without_protection_has_all_of_its_parents_with_the_mount_option() -> None:
    root = PageCounter(None)
    parent = PageCounter(root)
    parent.low = 60
    child = PageCounter(parent)
    child.charge(50)
    for recursive, elow in ((False, 0), (True, 60)):
        parent.calculate_protection(root, recursive)
        child.calculate_protection(root, recursive)
        assert child.elow == elow
    child.uncharge(50)
    child.calculate_protection(root, False)
    assert child.elow == 60, "without usage it keeps what it had"


def test_the_watermark_is_the_most_that_was_charged_even_in_vain() -> None:
    top, middle, low = chain(100, 40, 100)
    low.charge(30)
    low.uncharge(20)
    assert [top.watermark, middle.watermark, low.watermark] == [30, 30, 30]
    assert low.try_charge(35) is middle
    assert [top.watermark, middle.watermark, low.watermark] == [30, 30, 45]
    assert [top.usage, middle.usage, low.usage] == [10, 10, 10]


@given(st.lists(st.tuples(SIZES, SIZES), min_size=1, max_size=6), SIZES)
def test_siblings_never_have_more_together_than_their_parent(
    children: list[tuple[int, int]], entitled: int
) -> None:
    root = PageCounter(None)
    parent = PageCounter(root)
    parent.low = entitled
    counters = []
    for usage, low in children:
        counter = PageCounter(parent)
        counter.usage, counter.low = usage, low
        counters.append(counter)
    parent.calculate_protection(root, False)
    for counter in counters:
        counter.calculate_protection(root, False)
        assert counter.elow <= min(counter.usage, counter.low)
    assert sum(counter.elow for counter in counters) <= entitled


CHARGES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 60)), max_size=30)


@given(CHARGES, st.tuples(*[st.integers(0, 100)] * 4))
def test_no_counter_is_ever_over_its_limit(
    charges: list[tuple[int, int]], limits: tuple[int, ...]
) -> None:
    """Against a tree of plain numbers: 0 is the root, 1 and 2 are below it, 3 is below 2."""
    parents = {0: None, 1: 0, 2: 0, 3: 2}
    counters: list[PageCounter] = []
    for index, limit in enumerate(limits):
        above = parents[index]
        counters.append(PageCounter(None if above is None else counters[above]))
        counters[index].max = limit
    usage = [0, 0, 0, 0]
    for index, pages in charges:
        line = [index]
        while (above := parents[line[-1]]) is not None:
            line.append(above)
        blocked = [counters[place] for place in line if usage[place] + pages > limits[place]]
        assert counters[index].try_charge(pages) is (blocked[0] if blocked else None)
        if not blocked:
            for place in line:
                usage[place] += pages
        assert [counter.usage for counter in counters] == usage
