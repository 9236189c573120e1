# SPDX-License-Identifier: GPL-2.0-only
"""Figures in words."""

from __future__ import annotations

import pytest

from thplab.compare.rows import Unit
from thplab.report.wording import claim_subject, value_texts
from thplab.scenario.figures import parse_figure
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
    claim = Claim(at="after", value=path, expect="== 0")
    assert claim_subject(claim, parse_figure(path)) == words
    claim = Claim(at="after", since="queued", value=path, expect="== 0")
    assert claim_subject(claim, parse_figure(path)) == f'{words}, change since "queued"'


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
