# SPDX-License-Identifier: GPL-2.0-only
"""`thplab bugs` and `thplab explore`, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from thplab.cli import main
from thplab.explorer.trace import changed


def test_bugs_prints_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bugs", "B06", "b07"]) == 0
    out = capsys.readouterr().out
    assert "B06  shrinker bit set on the dying memcg" in out
    assert "2 of 2 found, and their fixes clean" in out


def test_bugs_show_prints_both_cpus_and_the_kernel_functions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bugs", "show", "B06"]) == 0
    out = capsys.readouterr().out
    assert "CPU0" in out
    assert "| CPU1" in out
    for function in ("mem_cgroup_css_offline()", "__list_lru_add()", "set_shrinker_bit()"):
        assert function in out
    assert "has no shrinker bit for node 0" in out


def test_an_id_that_was_printed_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "scan-final-put", "--design", "list_lru_v1", "--no-trace"]) == 1
    out = capsys.readouterr().out
    word = out.split("--replay \\\n")[1].replace("\n", "")
    assert main(["explore", "--replay", word]) == 1
    assert "suspicious RCU usage" in capsys.readouterr().out


def test_a_clean_case_says_what_that_is_worth(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "add-offline", "--bound", "1"]) == 0
    out = capsys.readouterr().out
    assert "no failure: all schedules with up to 1 preemptions" in out
    assert main(["explore", "add-offline", "--strategy", "random", "--executions", "50"]) == 0
    assert "50 executions" in capsys.readouterr().out


def test_final_states_are_counted_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "walk-final-put", "--bound", "1", "--states"]) == 0
    assert "distinct final states" in capsys.readouterr().out


def test_several_processes_find_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "add-offline", "--bound", "1", "--jobs", "2"]) == 0
    assert "no failure: all schedules with up to 1 preemptions" in capsys.readouterr().out
    assert main(["explore", "B07", "--jobs", "2", "--no-trace"]) == 1
    assert "lifetime: use-after-free" in capsys.readouterr().out


def test_a_design_of_ones_own_is_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path(__file__).parents[2] / "docs" / "examples" / "node_queue.py"
    assert main(["explore", "scan-final-put", "--design", f"{example}:NodeQueue"]) in (0, 1)
    assert "scan-final-put:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["bugs", "B99"], "there is no bug 'B99'"),
        (["bugs", "show"], "give the number of one bug"),
        (["explore", "nothing"], "there is no case 'nothing'"),
        (["explore", "add-offline", "--design", "nothing"], "design 'nothing' is not known"),
        (["explore", "--replay", "nonsense"], "it is damaged or cut short"),
        (["explore", "--checkpoint", "file"], "give one case"),
        (["explore", "B06", "--checkpoint", "file", "--jobs", "2"], "use one of the two"),
    ],
)
def test_what_cannot_be_used_is_refused_with_status_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert "Traceback" not in captured.err


def test_the_list_of_cases_says_what_each_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", "--list"]) == 0
    assert "two-scanners" in capsys.readouterr().out


def test_words_that_changed_are_shown_as_such() -> None:
    assert changed("folio(refcount 1, x)", "folio(refcount 2, x)") == "folio(refcount 1->2, x)"
    assert changed("same", "same") == "same"
    assert changed("free", "held by CPU0") == "free -> held by CPU0"
