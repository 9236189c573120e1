# SPDX-License-Identifier: GPL-2.0-only
"""The rows of the files that a scenario sets are true: of the model, and of what fuzz writes."""

from __future__ import annotations

import operator

import pytest

from tests.mm.small import small_machine
from thplab.mm.geometry import PAGE_SIZE
from thplab.mm.page_counter import PAGE_COUNTER_MAX
from thplab.scenario.tunables import CGROUP_FILES, THP_FILES, Tunable

by_file = operator.attrgetter("file")


@pytest.mark.parametrize("row", THP_FILES, ids=by_file)
def test_the_model_has_each_file_of_huge_pages_with_its_default(row: Tunable) -> None:
    assert operator.attrgetter(row.model)(small_machine()) == row.default


@pytest.mark.parametrize("row", CGROUP_FILES, ids=by_file)
def test_the_model_has_each_file_of_a_cgroup_with_its_default(row: Tunable) -> None:
    pages = operator.attrgetter(row.model)(small_machine().memcg.create("/job"))
    assert pages == (PAGE_COUNTER_MAX if row.default == "max" else int(row.default) // PAGE_SIZE)


@pytest.mark.parametrize("row", [*THP_FILES, *CGROUP_FILES], ids=by_file)
def test_a_file_takes_its_default_and_what_fuzz_writes(row: Tunable) -> None:
    for value in (row.default, *row.draws):
        assert row.kind.parse(value) == value
