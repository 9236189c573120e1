# SPDX-License-Identifier: GPL-2.0-only
"""What Python asks for: search a case, and see a failure as text."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from thplab.cli import main
from thplab.designs import DeferredSplitQueue, load
from thplab.errors import DesignError, InputError
from thplab.explorer.corpus import bug_named
from thplab.explorer.session import case_for, replay, search
from thplab.report.exploration import failure_text

BROKEN = "list_lru_v1"


@pytest.mark.parametrize("strategy", ["exhaustive", "random", "pct"])
def test_every_strategy_searches_a_case_by_name(strategy: str) -> None:
    verdict = search("add-offline", strategy=strategy, bound=1, executions=200)
    assert verdict.failure is None
    assert verdict.exhausted == (strategy == "exhaustive")
    assert verdict.id is None
    assert verdict.trace() == ""


def test_a_failure_has_an_id_and_a_trace() -> None:
    verdict = search("scan-final-put", BROKEN)
    assert verdict.failure is not None
    assert verdict.id is not None
    again = replay(verdict.id, None, None)
    assert again is not None
    assert again.failure.text() == verdict.failure.text()
    for function in ("deferred_split_scan()", "CPU1"):
        assert function in verdict.trace()


def test_a_design_given_as_a_class_is_searched_and_has_no_id() -> None:
    verdict = search("scan-final-put", load(BROKEN))
    named = search("scan-final-put", BROKEN)
    assert verdict.executions == named.executions
    assert verdict.shortest is not None
    assert named.shortest is not None
    assert verdict.shortest.schedule == named.shortest.schedule
    assert verdict.id is None
    assert "CPU1" in verdict.trace()
    assert verdict.report is not None
    assert "no id, because the design has no name" in failure_text(verdict.report)
    with pytest.raises(InputError, match="several processes need a design that has a name"):
        search("scan-final-put", load(BROKEN), jobs=2)


def test_what_is_no_design_and_no_strategy_is_refused() -> None:
    with pytest.raises(DesignError, match="it must be a subclass"):
        search("add-offline", int)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="it lacks enqueue, unqueue"):
        search("add-offline", DeferredSplitQueue)
    with pytest.raises(InputError, match="there is no strategy 'luck'; there are exhaustive"):
        search("add-offline", strategy="luck")


def test_a_bug_brings_its_own_design() -> None:
    assert case_for("b06").name == "B06"
    assert case_for("b06-fixed").name == "B06-fixed"
    verdict = search("B06")
    assert verdict.failure is not None
    assert verdict.failure.check in bug_named("B06").checks


def test_the_file_of_a_design_is_executed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "counted.py"
    file.write_text(
        "from thplab.designs.list_lru import ListLruQueue\n"
        "print('executed')\n"
        "class Counted(ListLruQueue):\n"
        "    pass\n"
    )
    cases = ["add-offline", "del-offline", "scan-offline"]
    assert main(["explore", *cases, "--design", f"{file}:Counted", "--bound", "0"]) == 0
    assert capsys.readouterr().out.count("executed") == 1


def test_a_bug_is_shown_with_what_the_fixed_code_came_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bugs", "show", "B07"]) == 0
    assert (
        "\nfixed code: clean, all schedules with up to 2 preemptions (" in capsys.readouterr().out
    )
    bug = bug_named("B07")
    swapped = dataclasses.replace(bug, broken=bug.fixed, fixed=bug.broken)
    monkeypatch.setattr("thplab.explorer.corpus.CORPUS", (swapped,))
    assert main(["bugs", "show", "B07"]) == 1
    out = capsys.readouterr().out
    assert "NOT FOUND" in out
    assert "fixed code: FAILS: use-after-free" in out


@pytest.mark.parametrize("name", ["B06", "b06-fixed"])
def test_a_bug_takes_no_design(name: str) -> None:
    """Its case is the code that had the bug; a design that was ignored would look searched."""
    with pytest.raises(InputError, match="has a design of its own"):
        search(name, "list_lru")
