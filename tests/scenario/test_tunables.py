# SPDX-License-Identifier: GPL-2.0-only
"""The rows of the files that a scenario sets are true: of the model, and of what fuzz writes."""

from __future__ import annotations

import operator

import pytest

from tests.mm.small import small_machine
from thplab.mm.geometry import PAGE_SIZE
from thplab.mm.page_counter import PAGE_COUNTER_MAX
from thplab.scenario.tunables import CGROUP_FILES, HOST_FILES, Tunable

by_file = operator.attrgetter("file")


@pytest.mark.parametrize("row", HOST_FILES.values(), ids=by_file)
def test_the_model_has_each_file_of_the_host_with_its_default(row: Tunable) -> None:
    assert operator.attrgetter(row.model)(small_machine()) == row.default


@pytest.mark.parametrize("row", CGROUP_FILES, ids=by_file)
def test_the_model_has_each_file_of_a_cgroup_with_its_default(row: Tunable) -> None:
    machine = small_machine()
    pages = operator.attrgetter(row.model)(machine.memcg.create("/job"))
    assert pages == (PAGE_COUNTER_MAX if row.default == "max" else int(row.default) // PAGE_SIZE)
    assert not row.write or callable(getattr(machine.charges, row.write))


@pytest.mark.parametrize("row", [*HOST_FILES.values(), *CGROUP_FILES], ids=by_file)
def test_a_file_takes_its_default_and_what_fuzz_writes(row: Tunable) -> None:
    for value in (row.default, *row.draws):
        assert row.kind.parse(value) == value
