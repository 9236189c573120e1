# SPDX-License-Identifier: GPL-2.0-only
"""Every design that ships, on every standard case, up to two preemptions: clean, or with a finding that is written down."""

from __future__ import annotations

import pytest

from thplab.errors import InputError
from thplab.explorer.cases.standard import CASES, case_named
from thplab.explorer.findings import all_findings, is_missing, known_finding
from thplab.explorer.session import search

BOUND = 2

DESIGNS = ("split_queue", "split_queue_reparented", "list_lru")


# docs/findings.md says how each comes about.
KNOWN = {
    (design, case)
    for finding in all_findings()
    if finding.status != "refuted"
    for design in finding.designs
    for case in finding.cases
}


def hold(name: str, design: str, bound: int) -> None:
    """The design is clean on the case, or has the finding that is known."""
    verdict = search(name, design, bound=bound)
    if (design, name) in KNOWN:
        assert verdict.shortest is not None
        finding = known_finding(name, design, verdict.shortest)
        assert finding is not None, verdict.shortest.text()
        assert verdict.shortest.preemptions == finding.preemptions
    else:
        assert verdict.failure is None, verdict.failure.text()
        assert verdict.exhausted
    assert is_missing(name, design, verdict) is None


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_a_design_is_clean_or_has_the_finding_that_is_known(name: str, design: str) -> None:
    """One preemption where nothing is to be found: two take long."""
    hold(name, design, BOUND if (design, name) in KNOWN else 1)


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_the_same_holds_up_to_two_preemptions(name: str, design: str) -> None:
    hold(name, design, BOUND)


def test_the_first_version_of_the_conversion_fails_many_cases() -> None:
    failed = {
        case.name: verdict.failure.check
        for case in CASES
        if (verdict := search(case.name, "list_lru_v1", bound=1)).failure is not None
    }
    assert failed["add-offline"] == "invariants"
    assert failed["scan-final-put"] == "rcu"
    assert len(failed) >= 10


def test_an_unknown_case_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError, match=r"there is no case 'nothing'; there are add-offline, del-offline"
    ):
        case_named("nothing")
