# SPDX-License-Identifier: GPL-2.0-only
"""What a release is: a row for each difference, which the model has, and no other field."""

from __future__ import annotations

import operator
from typing import Any

import msgspec
import pytest

from tests.mm.small import small_machine
from thplab.errors import InputError
from thplab.kernel_version import version_of
from thplab.mm.machine import Machine
from thplab.releases.named import NAMES, NEWEST, check_design, release_named
from thplab.releases.release import DIFFERENCES, Difference, Release

ROWS = [pytest.param(*row, id=row[0]) for row in DIFFERENCES.items()]


@pytest.fixture
def machine() -> Machine:
    """A machine as it is made, before a release has changed it."""
    return small_machine()


@pytest.mark.parametrize(("field", "difference"), ROWS)
def test_each_difference_names_a_switch_of_the_model(
    field: str, difference: Difference, machine: Machine
) -> None:
    """The model does as the newest release does, so the switch is on; an older release turns it off."""
    switch = operator.attrgetter(difference.model)
    assert switch(machine) is True
    assert Release.__struct_defaults__[list(DIFFERENCES).index(field)] is True
    release_named(NEWEST).differing(**{field: False}).apply(machine)
    assert switch(machine) is False
    release_named(NEWEST).apply(machine)
    assert switch(machine) is True


@pytest.mark.parametrize(("field", "difference"), ROWS)
def test_a_release_has_what_came_with_it_or_before(field: str, difference: Difference) -> None:
    has = [
        bool(getattr(release_named(name), field))
        for name in NAMES
        if not difference.lost or version_of(name) >= version_of(difference.lost)
    ]
    assert has == sorted(has)
    assert has[-1]
    assert not has[0]


def test_what_was_lost_for_a_time_was_there_before_and_after() -> None:
    has = {name: release_named(name).split_unmaps_each_pmd for name in NAMES}
    assert [name for name in NAMES if not has[name]] == ["6.18"]


def test_every_field_but_name_and_design_is_a_difference() -> None:
    assert Release.__struct_fields__ == ("name", "design", *DIFFERENCES)


def test_a_field_that_there_is_not_is_refused() -> None:
    fields: dict[str, Any] = {"name": "7.3", "design": "list_lru", "nonsense": True}
    with pytest.raises(TypeError, match="nonsense"):
        Release(**fields)
    with pytest.raises(msgspec.ValidationError, match="unknown field `nonsense`"):
        msgspec.convert(fields, Release)
    with pytest.raises(
        InputError, match="no field 'nonsense'; the fields are recursive_protection"
    ):
        release_named(NEWEST).differing(nonsense=True)


def test_a_switch_that_the_model_has_not_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    field, difference = next(iter(DIFFERENCES.items()))
    monkeypatch.setitem(DIFFERENCES, field, difference._replace(model="migration.splits"))
    with pytest.raises(AttributeError, match=rf"{field}: the model has no migration\.splits"):
        release_named(NEWEST).apply(machine)


@pytest.mark.parametrize("name", NAMES)
def test_a_named_release_can_have_its_own_design(name: str) -> None:
    release = release_named(name)
    check_design(release, release.design)
    check_design(release, "mine.py:Mine")
