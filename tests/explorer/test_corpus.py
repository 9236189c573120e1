# SPDX-License-Identifier: GPL-2.0-only
"""Each bug of the corpus is found, by the check that it belongs to, and the fixed code is clean."""

from __future__ import annotations

import pytest

from thplab.errors import InputError
from thplab.explorer.checks import CHECK_NAMES
from thplab.explorer.corpus import CORPUS, Bug, bug_named
from thplab.explorer.corpus.search import search_bug

KNOWN = [
    "B01",
    "B02",
    "B03",
    "B04",
    "B05",
    "B06",
    "B07",
    "B08",
    "B09",
    "B10",
    "B11",
    "B12",
    "B13",
    "B14",
    "B15",
    "B18",
    "B19",
    "B21",
    "B23",
    "B24",
    "B27",
    "B28",
    "B29",
    "B32",
    "B34",
    "B37",
    "B39",
    "B40",
    "B41",
    "B43",
    "B44",
    "B45",
]


def test_the_corpus_has_every_known_bug() -> None:
    assert [bug.id for bug in CORPUS] == KNOWN


@pytest.mark.parametrize("bug", CORPUS, ids=lambda bug: bug.id)
def test_the_bug_is_found_and_its_fix_is_clean(bug: Bug) -> None:
    assert set(bug.checks) <= set(CHECK_NAMES)
    result = search_bug(bug)
    assert result.broken.shortest is not None
    assert result.broken.shortest.check in bug.checks
    assert result.fixed.failure is None
    assert result.fixed.exhausted
    assert result.as_expected


@pytest.mark.parametrize("number", ["B05", "B06", "B07", "B21", "B23", "B29", "B32"])
def test_the_shortest_schedule_gives_the_same_trace_twice(number: str) -> None:
    bug = bug_named(number)
    result = search_bug(bug)
    assert result.broken.shortest is not None
    assert result.broken.failure is not None
    assert result.broken.shortest.preemptions <= result.broken.failure.preemptions
    # The report runs the schedule twice, and complains about a difference.
    assert result.broken.report is not None
    assert len(result.broken.report.trace.steps) == len(result.broken.shortest.schedule)


def test_an_unknown_bug_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"there is no bug 'B99'; there are B01, B02"):
        bug_named("B99")
