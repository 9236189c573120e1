# SPDX-License-Identifier: GPL-2.0-only
"""Figures in words."""

from __future__ import annotations

import pytest

from thplab.report.wording import claim_subject, value_texts
from thplab.scenario.conditions import Expectation
from thplab.scenario.figures import FigurePath
from thplab.scenario.rules import Unit
from thplab.scenario.schema import Claim


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("regions.victim.far[1].huge", "victim.far, node 1: huge pages whole"),
        ("regions.victim.far.huge", "victim.far: huge pages whole"),
        ("cgroups./victim[0].queue", "/victim, node 0: huge pages on the queue"),
        ("cgroups./victim.queue", "/victim, sum over nodes: huge pages on the queue"),
        ("cgroups./victim.huge", "/victim: memory in huge pages"),
        ("nodes.free", "all nodes: free memory"),
        ("vmstat.thp_split_page", "thp_split_page"),
        ("mthp.2048kB.split", "2048kB: split"),
    ],
)
def test_a_claim_is_told_in_words(path: str, words: str) -> None:
    figure, zero = FigurePath.parse(path), Expectation.parse("== 0")
    assert claim_subject(Claim(at="after", value=figure, expect=zero)) == words
    claim = Claim(at="after", since="queued", value=figure, expect=zero)
    assert claim_subject(claim) == f'{words}, change since "queued"'


@pytest.mark.parametrize(
    ("values", "unit", "texts"),
    [
        ([16384, None], "pages", ["16,384", "?"]),
        ([64 << 20, 1 << 30], "bytes", ["64M", "1G"]),
        ([64 << 20, None, 64 << 20], "bytes", ["64M", "?", "64M"]),
        # Two sizes that would look alike are told apart.
        ([934 << 20, (934 << 20) + 4096], "bytes", ["979,369,984", "979,374,080"]),
    ],
)
def test_values_are_for_a_reader(values: list[int | None], unit: Unit, texts: list[str]) -> None:
    assert value_texts(values, unit) == texts
