# SPDX-License-Identifier: GPL-2.0-only
"""The command as a user runs it: statuses, messages, files, interrupts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from thplab.cli import main
from thplab.cli.verbs import VERBS, load_verb
from thplab.scenario.json_schema import schema_text
from thplab.scenario.library import library_files

FAILING = """
name = "failing"
summary = "Its claim does not hold."
[host]
nodes = ["1G"]
[[steps]]
do = "observe"
label = "after"
[[claims]]
at = "after"
value = "vmstat.thp_split_page"
expect = "== 1"
"""


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run thplab in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "thplab", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    """A scenario whose claim fails."""
    file = tmp_path / "failing.toml"
    file.write_text(FAILING)
    return file


def test_compare_answers_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "cover-letter"]) == 0
    text = capsys.readouterr().out
    assert "All 8 expectations held." in text
    assert "split_queue     list_lru" in text


def test_a_path_is_a_scenario_too(capsys: pytest.CaptureFixture[str]) -> None:
    file = next(file for file in library_files() if file.stem == "guard-rail")
    assert main(["run", str(file), "--design", "list_lru"]) == 0
    assert "All 3 expectations held." in capsys.readouterr().out


def test_a_failed_claim_is_status_1(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(failing)]) == 1
    assert "0 FAILED" in capsys.readouterr().out


def test_a_warning_of_the_model_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "cover-letter", "--design", "list_lru_v1"]) == 1
    text = capsys.readouterr().out
    assert "list_lru_v1 complained: " in text
    assert "All 4 expectations held." in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compare", "cover-leter"], 'did you mean "cover-letter"?'),
        (["compare", "nowhere/x.toml"], "nowhere/x.toml: no such file"),
        (["compare", "."], "there is no scenario"),
        (["compare", "/"], "this is a directory"),
        (["compare", "cover-letter", "--design", "list_lr"], "list_lr"),
        (["compare", "cover-letter", "--design", "nofile.py:Queue"], "nofile.py"),
        (["compare", "cover-letter", "-o", "/nowhere/x"], "the folder /nowhere does not exist"),
        (["compare", "cover-letter", "-o", "/"], "this is a directory"),
        (["compare", "cover-letter", "--svg", "/nowhere/x"], "does not exist"),
        (["compair", "cover-letter"], 'there is no verb "compair"; did you mean "compare"?'),
    ],
)
def test_bad_input_is_status_2_and_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("thplab: ")
    assert captured.err.count("\n") == 1
    assert told in captured.err


@pytest.mark.parametrize(
    "arguments",
    [["compare"], ["run", "x", "--on", "moon"], ["compare", "x", "--format", "xml"], ["--nothing"]],
)
def test_a_wrong_command_line_shows_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: thplab" in capsys.readouterr().err


def test_nothing_asked_for_shows_the_help_with_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 2
    assert "verbs:" in capsys.readouterr().err


def test_a_step_that_fails_while_it_runs_names_file_and_step(tmp_path: Path) -> None:
    file = tmp_path / "swap.toml"
    step = '[[steps]]\ndo = "pageout"\ntask = "job"\nregion = "heap"\n[[claims]]'
    memory_limit = next(path for path in library_files() if path.stem == "memcg-limit")
    file.write_text(memory_limit.read_text().replace("[[claims]]", step, 1))
    result = command("compare", str(file))
    assert result.returncode == 2
    assert result.stderr.startswith(f"thplab: {file}: step 8 (pageout): ")
    assert "Traceback" not in result.stderr


RAISES = """
from thplab.designs.list_lru import ListLruQueue
class Queue(ListLruQueue):
    def enqueue(self, *arguments):
        raise RuntimeError("boom")
"""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("class Queue:\n    pass\n", "mine.py:Queue"),
        ("def f(:\n", "mine.py"),
        ("", "no class Queue"),
        (RAISES, "raised RuntimeError: boom"),
    ],
)
def test_a_design_that_is_none_is_status_2(tmp_path: Path, source: str, told: str) -> None:
    design = tmp_path / "mine.py"
    design.write_text(source)
    result = command("compare", "cover-letter", "--design", f"{design}:Queue")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert told in result.stderr


def test_json_goes_to_a_file_whole(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    assert main(["compare", "cover-letter", "--format", "json", "-o", str(file)]) == 0
    content = json.loads(file.read_text())
    assert [column["title"] for column in content["columns"]] == [
        "6.12 split_queue",
        "7.3 list_lru",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert file.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    """The process's umask."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_old_file_keeps_its_mode_and_a_link_its_target(tmp_path: Path) -> None:
    file, link = tmp_path / "result.txt", tmp_path / "link.txt"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    assert main(["compare", "guard-rail", "-o", str(link)]) == 0
    assert link.is_symlink()
    assert file.read_text().startswith("guard-rail\n")
    assert file.stat().st_mode & 0o777 == 0o640


def test_the_old_file_stays_when_the_scenario_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "result.txt"
    file.write_text("old")
    assert main(["compare", "nothing-like-it", "-o", str(file)]) == 2
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.txt"]


def test_a_device_is_written_directly() -> None:
    assert main(["compare", "guard-rail", "-o", "/dev/null"]) == 0
    assert not Path("/dev/null").is_file()


def test_the_same_scenario_gives_the_same_bytes() -> None:
    first, second = (
        command("compare", "interleave", "--format", "json", "--design", "all") for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert first.returncode == second.returncode


def test_a_picture_is_written_beside_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "table.svg"
    assert main(["compare", "guard-rail", "--svg", str(file)]) == 0
    assert file.read_text().startswith("<svg")
    assert "guard-rail" in capsys.readouterr().out


def test_the_library_is_listed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenarios"]) == 0
    text = capsys.readouterr().out
    assert all(file.stem in text for file in library_files())
    assert main(["scenarios", "--paths"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(file) for file in library_files()]


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == schema_text()


def test_every_verb_has_a_module_with_options_and_a_summary() -> None:
    for verb in VERBS:
        module = load_verb(verb.name)
        assert callable(module.configure)
        assert callable(module.execute)
        assert command(verb.name, "--help").returncode == 0


def test_help_loads_neither_rich_nor_the_model() -> None:
    code = (
        "import sys\n"
        "from thplab.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "loaded = [m for m in ('rich', 'msgspec', 'thplab.mm', 'tomllib') if m in sys.modules]\n"
        "print(loaded, file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stderr.strip() == "[]"


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    shell = f"{sys.executable} -m thplab compare debugfs-scan | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 141
    assert result.stderr == ""


def test_a_full_disk_is_a_message() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "thplab", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert result.returncode == 2
    assert result.stderr == "thplab: cannot write: No space left on device\n"


@pytest.mark.slow
def test_an_interrupt_is_status_130_and_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "thplab", "compare", "terabyte", "-o", str(tmp_path / "x")],
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint == "thplab: interrupted\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["0", "-3", "soon", "nan", "inf"])
def test_a_time_limit_is_a_number_of_seconds(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "cover-letter", "--kernel", "bzImage", "--time-limit", text])
    assert ended.value.code == 2
    assert "give a number of seconds above 0" in capsys.readouterr().err
