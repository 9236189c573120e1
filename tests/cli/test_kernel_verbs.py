# SPDX-License-Identifier: GPL-2.0-only
"""verify and fuzz on kernels that are the model, or fail: what is told, recorded, and the status."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from thplab.backends import model, vm
from thplab.backends.errors import KernelRunError
from thplab.cli import kernel_verbs, main
from thplab.comparison.record import read_records
from thplab.errors import InputError, ThplabError
from thplab.releases.release import Release
from thplab.scenario.library import library_dir
from thplab.scenario.observation import Run, without_figures
from thplab.scenario.schema import Scenario

DIFFERS = "guard-rail"
THREE = ("cover-letter", DIFFERS, "memcg-limit")


def kernel_run(scenario: Scenario, kernel: str) -> Run | ThplabError:
    """A kernel that is the model of 7.3, with the faults that its name says."""
    if "unbootable" in kernel:
        raise KernelRunError("the kernel panicked: no root", begun=False)
    if "gone" in kernel:
        raise InputError("apt cannot reach it")
    if "crashes" in kernel and scenario.name == DIFFERS:
        return KernelRunError("it panicked")
    if "small" in kernel and scenario.name == DIFFERS:
        return InputError("too little memory")
    run = model.run(scenario, "list_lru")
    run = msgspec.structs.replace(
        run,
        backend="kernel",
        title=Path(kernel).name,
        kernel="7.3.4",
        release=Release.of_version("7.3.4", "list_lru"),
    )
    end = run.observations[-1]
    if "differs" in kernel and scenario.name == DIFFERS:
        end.vmstat["thp_split_page"] = 77
    if "strange" in kernel:
        run.release = Release.of_version("9.9", "unknown")
        run.notes = ["design unknown: no design has them"]
    if "blind" in kernel:
        run.observations = [without_figures(one, "unseen") for one in run.observations]
    return run


@pytest.fixture(autouse=True)
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of guests; and a library of three scenarios."""
    files = [library_dir() / f"{name}.toml" for name in THREE]
    monkeypatch.setattr(kernel_verbs, "library_files", lambda: files)

    def run_each(
        scenarios: Sequence[Scenario], kernel: str, time_limit: float | None
    ) -> list[Run | ThplabError]:
        del time_limit
        return [kernel_run(scenario, kernel) for scenario in scenarios]

    monkeypatch.setattr(vm, "run_each", run_each)


def verify(*arguments: str) -> int:
    """Three scenarios of the library."""
    return main(["verify", *THREE, *arguments])


@pytest.mark.parametrize(
    ("kernel", "status", "told"),
    [
        ("good", 0, "good: 3 of 3 agree\n"),
        ("differs", 1, f"differs: 2 of 3 agree; {DIFFERS}: FAILED\n"),
        ("crashes", 1, f"crashes: 2 of 3 agree; {DIFFERS}: FAILED\n"),
        (
            "small",
            2,
            f"small: 2 of 3 agree\nsmall: not compared ({DIFFERS}): too little memory\n",
        ),
        ("gone", 2, "gone: not compared (all): apt cannot reach it\n"),
        ("unbootable", 2, "unbootable: not compared (all): the kernel panicked: no root\n"),
        ("strange", 2, "strange: not compared (all): the design of its deferred split queue"),
    ],
)
def test_the_end_says_how_many_agree_and_what_was_not_compared(
    kernel: str, status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("--kernel", f"/kernels/{kernel}") == status
    assert told in capsys.readouterr().out


def test_a_kernel_that_cannot_be_used_does_not_keep_the_next_from_being_verified(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert verify("--kernel", "gone", "--kernel", "strange", "--kernel", "good") == 2
    assert "good: 3 of 3 agree" in capsys.readouterr().out
    assert verify("--kernel", "gone", "--kernel", "differs") == 1, "a difference goes first"


def test_a_scenario_that_is_none_does_not_keep_the_others_from_being_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("name = 1\n", encoding="ascii")
    assert verify(str(broken), "--kernel", "good") == 2
    out = capsys.readouterr().out
    assert "good: 3 of 4 agree" in out
    assert f"not compared ({broken}): " in out
    assert main(["verify", str(broken), "--kernel", "good"]) == 2
    assert "broken.toml" in capsys.readouterr().err


def test_a_line_says_nothing_of_the_figures_that_only_one_saw(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No kernel shows all of the model's counters, so they would be on each line."""
    assert verify("--kernel", "blind") == 0
    out = capsys.readouterr().out
    assert "seen by one only" not in out
    assert f"EMPTY   {DIFFERS} on blind (7.3 list_lru): no figures\n" in out
    assert "blind: 0 of 3 agree; cover-letter, guard-rail, memcg-limit: no figure could be" in out


def test_json_has_what_was_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--kernel", "small", "--format", "json") == 2
    found = json.loads(capsys.readouterr().out.partition("small: ")[0])
    assert [one["not_compared"] for one in found] == ["", "too little memory", ""]


def test_the_library_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kernel, status in (("differs", 1), ("small", 2), ("gone", 2), ("good", 0)):
        arguments = ["verify", "--kernel", f"/kernels/{kernel}", "--record", str(tmp_path)]
        assert main(arguments) == status
    assert "not recorded: gone" in capsys.readouterr().err
    differs, good, small = read_records(tmp_path)
    assert (differs.kernel, differs.linux, differs.design) == ("differs", "7.3.4", "list_lru")
    assert differs.library is not None
    assert list(differs.library.differ) == [DIFFERS]
    line, *claims = differs.library.differ[DIFFERS]
    assert line.startswith("after: vmstat.thp_split_page: model ")
    assert line.endswith(", kernel 77")
    assert all("claim failed" in claim for claim in claims)
    assert small.library is not None
    assert small.library.not_compared == {DIFFERS: "too little memory"}
    assert good.library is not None
    assert good.library.agree == list(THREE)
    assert good.library.figures > 500
    with_names = ["verify", DIFFERS, "--kernel", "good", "--record", str(tmp_path)]
    assert main(with_names) == 2
    assert "--record records the whole library" in capsys.readouterr().err


def test_a_series_is_recorded_beside_the_library_and_again_in_its_own_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = ["--kernel", "good", "--record", str(tmp_path)]
    assert main(["verify", *record]) == 0
    for seed, count in (("7", "3"), ("9", "2"), ("7", "4")):
        assert main(["fuzz", *record, "--seed", seed, "--count", count]) == 0
    assert "4 scenarios of seed 7 on good: 4 agree in " in capsys.readouterr().out
    (good,) = read_records(tmp_path)
    assert good.library is not None
    assert [(one.kind, one.seed, one.count) for one in good.fuzz] == [
        ("steps", 7, 4),
        ("steps", 9, 2),
    ]
    assert good.fuzz[0].figures > 100


def test_what_another_kernel_left_under_the_name_goes(tmp_path: Path) -> None:
    record = ["--kernel", "good", "--record", str(tmp_path)]
    assert main(["fuzz", *record, "--count", "2"]) == 0
    file = tmp_path / "good.json"
    file.write_text(file.read_text(encoding="utf-8").replace("7.3.4", "7.3.3"), encoding="utf-8")
    assert main(["verify", *record]) == 0
    (good,) = read_records(tmp_path)
    assert good.linux == "7.3.4"
    assert good.fuzz == []


def test_a_series_in_which_nothing_could_be_compared_is_no_success(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fuzz", "--kernel", "blind", "--count", "3"]) == 2
    out = capsys.readouterr().out
    assert (
        "3 scenarios of seed 1 on blind: 0 agree in 0 figures, 0 differ, 3 compared nothing" in out
    )


@pytest.mark.parametrize("verb", ["verify", "fuzz"])
def test_a_directory_for_records_that_is_not_there_is_refused_before_the_run(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "--kernel", "unbootable", "--record", "/nowhere"]) == 2
    assert "--record /nowhere: there is no such directory" in capsys.readouterr().err


def test_a_file_that_is_no_record_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.json").write_text("{}", encoding="ascii")
    assert main(["verify", "--kernel", "good", "--record", str(tmp_path)]) == 2
    assert "good.json: this is no record of thplab" in capsys.readouterr().err
