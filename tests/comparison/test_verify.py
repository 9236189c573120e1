# SPDX-License-Identifier: GPL-2.0-only
"""A model's Run held against a kernel's: what agrees, what differs, and what nobody can say."""

from __future__ import annotations

import copy

import msgspec
import pytest

from thplab.backends import model
from thplab.comparison.verify import Verification, verify
from thplab.releases.release import Release
from thplab.scenario.library import library_dir
from thplab.scenario.loader import load
from thplab.scenario.observation import Run, StepOutcome
from thplab.scenario.schema import Scenario


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """The library's cover letter."""
    return load(library_dir() / "cover-letter.toml")


@pytest.fixture
def model_run(scenario: Scenario) -> Run:
    """The model's Run of it."""
    return model.run(scenario, "list_lru")


@pytest.fixture
def kernel_run(model_run: Run) -> Run:
    """A kernel that saw the same."""
    return msgspec.structs.replace(
        copy.deepcopy(model_run),
        backend="kernel",
        title="bzImage",
        release=Release.of_version("6.12.117", "list_lru"),
    )


def judgement(verification: Verification, figure: str) -> str:
    """How a figure was judged at the end."""
    (found,) = [
        one for one in verification.figures if one.moment == "after" and str(one.figure) == figure
    ]
    return found.judgement


def test_equal_figures_agree(scenario: Scenario, model_run: Run, kernel_run: Run) -> None:
    verification = verify(scenario, model_run, kernel_run)
    assert not verification.failed
    assert verification.counts["equal"] > 80
    assert verification.differences == []


def test_one_huge_page_less_is_a_difference(
    scenario: Scenario, model_run: Run, kernel_run: Run
) -> None:
    kernel_run.observations[-1].regions["victim.far"].nodes[1].huge = 63
    verification = verify(scenario, model_run, kernel_run)
    (different,) = verification.differences
    assert (str(different.figure), different.model, different.kernel) == (
        "regions.victim.far[1].huge",
        64,
        63,
    )
    assert verification.failed


def test_a_task_may_have_memory_of_its_own_but_not_any(
    scenario: Scenario, model_run: Run, kernel_run: Run
) -> None:
    figures = kernel_run.observations[-1].cgroups["/victim"][0]
    assert figures.anon is not None
    figures.anon += 1 << 20
    assert judgement(verify(scenario, model_run, kernel_run), "cgroups./victim[0].anon") == "within"
    figures.anon += 1 << 30
    verification = verify(scenario, model_run, kernel_run)
    assert judgement(verification, "cgroups./victim[0].anon") == "different"


def test_what_a_kernel_did_not_see_equals_nothing(
    scenario: Scenario, model_run: Run, kernel_run: Run
) -> None:
    after = kernel_run.observations[-1]
    after.cgroups["/victim"][1].queue = None
    after.missing["cgroups.queue"] = "no CONFIG_SHRINKER_DEBUG"
    verification = verify(scenario, model_run, kernel_run)
    (figure,) = [one for one in verification.figures if one.judgement == "unseen"]
    assert str(figure.figure) == "cgroups./victim[1].queue"
    assert figure.why == "kernel: no CONFIG_SHRINKER_DEBUG"
    assert not verification.failed


def test_scan_counters_are_never_held_against_each_other(
    scenario: Scenario, model_run: Run, kernel_run: Run
) -> None:
    kernel_run.observations[-1].vmstat["slabs_scanned"] = 100_000
    verification = verify(scenario, model_run, kernel_run)
    assert judgement(verification, "vmstat.slabs_scanned") == "incomparable"
    assert not verification.failed


@pytest.mark.parametrize("side", ["model", "kernel"])
def test_a_warning_of_either_side_fails(
    side: str, scenario: Scenario, model_run: Run, kernel_run: Run
) -> None:
    run = model_run if side == "model" else kernel_run
    run.warnings.append("BUG: Bad page state")
    verification = verify(scenario, model_run, kernel_run)
    assert verification.failed
    assert verification.warnings == (f"{side}: BUG: Bad page state",)


def test_a_step_that_only_one_side_refuses_is_a_difference(
    scenario: Scenario, model_run: Run, kernel_run: Run
) -> None:
    for run, text in ((model_run, "refused: EINVAL"), (kernel_run, "refused: EINVAL")):
        run.outcomes.append(StepOutcome(step=2, do="touch", text=text))
    assert not verify(scenario, model_run, kernel_run).failed
    kernel_run.outcomes[-1].text = "refused: EBUSY"
    kernel_run.outcomes.append(StepOutcome(step=3, do="touch", text="refused: ENOMEM"))
    verification = verify(scenario, model_run, kernel_run)
    assert verification.failed
    assert verification.refusals == (
        "step 3 (touch): model refused: EINVAL, kernel refused: EBUSY",
        "step 4 (touch): model not refused, kernel refused: ENOMEM",
    )


def test_khugepaged_may_make_more_in_the_time_that_a_kernel_takes() -> None:
    """A pass of 8 huge pages for each ten seconds more, and one for the phase."""
    scenario = load(library_dir() / "khugepaged-awake.toml")
    model_run = model.run(scenario, "split_queue")
    kernel_run = msgspec.structs.replace(copy.deepcopy(model_run), backend="kernel", title="k")
    after = kernel_run.observations[-1]
    after.seconds += 25
    far = after.regions["victim.far"].nodes[1]
    assert far.huge == 8
    for more, judged in ((0, "equal"), (8, "within"), (24, "within"), (25, "different")):
        after.khugepaged.pages_collapsed = 8 + more
        far.huge = 8 + more
        verification = verify(scenario, model_run, kernel_run)
        assert judgement(verification, "khugepaged.pages_collapsed") == judged
        assert judgement(verification, "regions.victim.far[1].huge") == (
            "within" if more else "equal"
        )
        far.huge += 1
        verification = verify(scenario, model_run, kernel_run)
        assert judgement(verification, "regions.victim.far[1].huge") == "different"


def test_a_known_difference_is_told_with_its_cause(kernel_run: Run) -> None:
    scenario = load(library_dir() / "nokmem.toml")
    model_run = model.run(scenario, "list_lru")
    kernel_run = msgspec.structs.replace(
        copy.deepcopy(model_run),
        backend="kernel",
        title="bzImage",
        release=Release.of_version("6.12.117", "list_lru"),
    )
    kernel_run.observations[0].cgroups["/hog"][0].queue = 8
    verification = verify(scenario, model_run, kernel_run)
    assert not verification.failed
    assert any("known difference: under nokmem" in one.why for one in verification.figures)
    newer = msgspec.structs.replace(kernel_run, release=Release.of_version("7.2.1", "list_lru"))
    assert verify(scenario, model_run, newer).failed


def test_a_run_stays_as_it_was_handed_over(
    scenario: Scenario, model_run: Run, kernel_run: Run
) -> None:
    kernel_run.observations[-1].vmstat["thp_split_page"] = None
    before = copy.deepcopy((model_run, kernel_run))
    verify(scenario, model_run, kernel_run)
    assert (model_run, kernel_run) == before
