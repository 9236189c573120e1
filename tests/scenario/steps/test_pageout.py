# SPDX-License-Identifier: GPL-2.0-only
"""The step pageout: MADV_PAGEOUT, which only a kernel can do."""

from __future__ import annotations

import pytest

from tests.scenario.steps.playing import TOUCH, UPPER, calls_of, complaint, play, step
from thplab.scenario.errors import ScenarioError


def test_the_model_says_that_it_has_no_swap_and_what_to_do() -> None:
    with pytest.raises(ScenarioError) as caught:
        play(TOUCH, step("pageout", part=UPPER))
    assert "step 3 (pageout): the model has no swap" in str(caught.value)
    assert "--kernel" in str(caught.value)


def test_a_kernel_gets_one_call_for_each_range() -> None:
    assert calls_of(step("pageout", offset="2M")) == [("far", "madvise", 21)]


def test_what_was_unmapped_cannot_be_paged_out() -> None:
    assert "unmapped at step 2" in complaint(step("unmap", part=UPPER), step("pageout"))
