# SPDX-License-Identifier: GPL-2.0-only
"""The step free: MADV_FREE, which only a kernel can do."""

from __future__ import annotations

import pytest

from tests.scenario.steps.playing import TOUCH, UPPER, calls_of, complaint, play, step
from thplab.scenario.errors import ScenarioError


def test_the_model_says_what_it_lacks_and_what_to_do() -> None:
    with pytest.raises(ScenarioError) as caught:
        play(TOUCH, step("free", part=UPPER))
    assert "step 3 (free): the model keeps no lazily freed pages" in str(caught.value)
    assert "--kernel" in str(caught.value)


def test_a_kernel_gets_one_call_for_each_range() -> None:
    assert calls_of(step("free")) == [("far", "madvise", 8)]


def test_what_was_unmapped_cannot_be_freed() -> None:
    assert "unmapped at step 2" in complaint(step("unmap", part=UPPER), step("free"))
