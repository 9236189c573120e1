# SPDX-License-Identifier: GPL-2.0-only
"""Claims: figures of an Observation by path, conditions, verdicts."""

from __future__ import annotations

import msgspec
import pytest

from tests.report.handmade import cover_letter_run, cover_letter_scenario
from thplab.scenario.claims import evaluate
from thplab.scenario.conditions import Expectation
from thplab.scenario.figures import FigurePath, Unseen, read_figure
from thplab.scenario.observation import Observation
from thplab.scenario.schema import Claim, Scenario
from thplab.scenario.written import decode_hook


@pytest.fixture
def after() -> Observation:
    """The last observation of the cover letter's scenario on the old design."""
    return cover_letter_run("split_queue").observations[-1]


@pytest.mark.parametrize(
    ("condition", "held", "failed"),
    [
        ("== 64", [64], [63, 65]),
        ("==64", [64], [63]),
        ("!= 0", [1, -1], [0]),
        ("< 10", [9], [10]),
        ("<= 10", [10], [11]),
        ("> -2", [-1], [-2]),
        (">= 2M", [2 << 20], [(2 << 20) - 1]),
        ("7..8", [7, 8], [6, 9]),
        ("-8..-7", [-8, -7], [-6]),
        ("1.5G..2G", [3 << 29], [1 << 30]),
    ],
)
def test_a_condition_holds_as_it_reads(condition: str, held: list[int], failed: list[int]) -> None:
    expected = Expectation.parse(condition).of("list_lru", "7.3")
    assert expected is not None
    holds = expected.holds
    assert all(holds(figure) for figure in held)
    assert not any(holds(figure) for figure in failed)


@pytest.mark.parametrize(
    "text", ["", "64", "= 64", "== ", "== 6x", "== 2.5", "8..7", "1...2", "=> 3"]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expectation|backwards|size"):
        Expectation.parse(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("nodes[1].free", 1014 << 20),
        ("nodes.free", (901 + 1014) << 20),
        ("cgroups./victim[1].anon", 64 << 20),
        ("cgroups./victim.anon", 65 << 20),
        ("cgroups./*[0].anon", 1 << 20),
        ("regions.victim.far[1].split", 64),
        ("regions.victim.far.split", 64),
        ("regions.victim.*.split", 65),
        ("regions.*.near.base", 256),
        ("regions.victim.far.absent", 16384),
        ("vmstat.thp_split_page", 65),
        ("mthp.2048kB.split", 65),
    ],
)
def test_a_path_reads_one_figure_or_a_sum(path: str, value: int, after: Observation) -> None:
    assert read_figure(after, FigurePath.parse(path)) == value
    assert str(FigurePath.parse(path)) == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nodes[7].free", "there is no node 7"),
        ("cgroups./gone.queue", "/gone did not exist"),
        ("regions.hog.heap.huge", "its task had ended"),
        ("regions.hog*.heap.huge", "its task had ended"),
        ("vmstat.thp_splt_page", 'did you mean "thp_split_page"'),
        ("mthp.2048kB.splitt", 'did you mean "2048kB.split"'),
        ("mthp.64kB.nr_anon", "no such counter"),
    ],
)
def test_a_figure_that_is_not_there_comes_with_the_reason(
    path: str, reason: str, after: Observation
) -> None:
    figure = read_figure(after, FigurePath.parse(path))
    assert isinstance(figure, Unseen)
    assert reason in figure.reason


@pytest.mark.parametrize(
    "place", ["cgroups./victim[1].queue", "cgroups./victim.queue", "cgroups.queue", "cgroups"]
)
def test_the_reason_of_a_none_is_found_at_the_path_or_above(place: str, after: Observation) -> None:
    after.cgroups["/victim"][1].queue = None
    after.missing = {place: "the kernel has no SHRINKER_DEBUG"}
    figure = read_figure(after, FigurePath.parse("cgroups./victim[1].queue"))
    assert figure == Unseen("the kernel has no SHRINKER_DEBUG")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nodes",
        "nodes[x].free",
        "nodes.fre",
        "cgroups.queue",
        "regions.far.huge",
        "vmstat.",
        "x" * 3000,
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="figure"):
        FigurePath.parse(path)


def with_claim(**keys: object) -> Scenario:
    """The cover letter with one claim in place of its own."""
    base: dict[str, object] = {"at": "after", "value": "vmstat.thp_split_page", "expect": "== 65"}
    claim = msgspec.convert({**base, **keys}, Claim, dec_hook=decode_hook)
    return msgspec.structs.replace(cover_letter_scenario(), claims=(claim,))


@pytest.mark.parametrize(
    ("keys", "verdict", "actual"),
    [
        ({}, "held", 65),
        ({"expect": "== 64"}, "failed", 65),
        ({"expect": {"split_queue": "== 65", "*": "== 1"}}, "held", 65),
        ({"expect": {"list_lru": "== 65", "*": "== 1"}}, "failed", 65),
        ({"expect": {"list_lru": "== 65"}}, "unstated", 65),
        ({"expect": {"6.12": "== 65", "split_queue": "== 1"}}, "held", 65),
        ({"expect": {"7.3": "== 65"}}, "unstated", 65),
        ({"since": "queued"}, "held", 65),
        ({"since": "queued", "value": "regions.victim.far.huge", "expect": "== -64"}, "held", -64),
        ({"value": "vmstat.nothing"}, "unseen", None),
        ({"at": "never"}, "unseen", None),
    ],
)
def test_a_claim_gets_a_verdict_and_the_figure(
    keys: dict[str, object], verdict: str, actual: int | None
) -> None:
    (result,) = evaluate(with_claim(**keys), cover_letter_run("split_queue"))
    assert (result.verdict, result.actual) == (verdict, actual)
    assert bool(result.reason) == (verdict == "unseen")
