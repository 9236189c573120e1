# SPDX-License-Identifier: GPL-2.0-only
"""What the explorer found: recognised, missed when it is gone, listed and shown."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from thplab.cli import main
from thplab.errors import InputError
from thplab.explorer import findings
from thplab.explorer.cases.standard import case_named
from thplab.explorer.checks import CHECK_NAMES
from thplab.explorer.findings import (
    Finding,
    all_findings,
    finding_named,
    is_missing,
    known_finding,
)
from thplab.explorer.session import CaseVerdict, case_for, search
from thplab.report.findings import finding_page, finding_text

ORACLE = "no-parent-of-root"


def test_every_finding_names_cases_designs_and_checks_that_there_are() -> None:
    for finding in all_findings():
        assert finding.check in CHECK_NAMES
        re.compile(finding.report)
        for name in finding.cases:
            assert case_named(name).name == name
            for design in finding.designs:
                assert case_for(name, design).design_name == design
        assert (finding.status == "confirmed") == bool(finding.confirmed)
        assert (finding.status == "confirmed") != bool(finding.because)
    numbers = [finding.number for finding in all_findings()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_head_allocation_reaches_the_parent_of_the_root() -> None:
    """The fast path sees the cgroup without lists; the second look finds the root."""
    verdict = search("head-allocation-offline", "list_lru")
    assert verdict.shortest is not None
    assert (verdict.shortest.check, verdict.shortest.preemptions) == ("oops", 1)
    assert "memcg_list_lru_allocated(NULL)" in verdict.shortest.text()
    trace = verdict.trace()
    places = [
        trace.rindex(name)
        for name in ("memcg_list_lru_allocated()", "memcg_reparent_objcgs()", "try_get memcg / ")
    ]
    assert places == sorted(places)


def test_a_failure_is_known_by_its_case_its_design_and_what_the_check_says() -> None:
    failure = search("head-allocation-offline", "list_lru").shortest
    assert failure is not None
    found = known_finding("head-allocation-offline", "list_lru", failure)
    assert found is finding_named(ORACLE)
    assert found is finding_named(str(found.number))
    assert known_finding("add-offline", "list_lru", failure) is None
    assert known_finding("head-allocation-offline", "split_queue", failure) is None
    assert known_finding("head-allocation-offline", None, failure) is None
    other = search("scan-final-put", "list_lru_v1").shortest
    assert other is not None
    assert known_finding("head-allocation-offline", "list_lru", other) is None


def clean(case: str, design: str, *, bound: int, exhausted: bool = True) -> CaseVerdict:
    """The verdict of a search that found nothing, of whatever case."""
    return CaseVerdict(
        strategy="exhaustive", bound=bound, exhausted=exhausted, case=case_for(case, design)
    )


def test_a_search_that_is_clean_and_deep_enough_misses_the_finding() -> None:
    case, design = "scan-migration", "list_lru"
    lost = is_missing(case, design, clean(case, design, bound=2))
    assert lost is not None
    assert lost.name == "place-lost-by-migration"
    assert is_missing(case, design, clean(case, design, bound=1)) is None
    assert is_missing(case, design, clean(case, design, bound=2, exhausted=False)) is None
    assert is_missing(case, "split_queue", clean(case, "split_queue", bound=2)) is None
    everything = clean(case, design, bound=1)
    everything.all_schedules = True
    assert is_missing(case, design, everything) is lost


def test_explore_ends_with_0_when_it_found_only_what_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explore", "head-allocation-offline", "add-offline", "--bound", "1"]) == 0
    out = capsys.readouterr().out
    assert f"known finding {ORACLE}: confirmed on" in out
    assert "CPU1" in out


def test_explore_ends_with_1_when_a_failure_is_new_or_a_known_one_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explore", "head-allocation-offline", "--bound", "1", "--no-trace"]
    oracle = finding_named(ORACLE)

    def only(**changes: object) -> None:
        changed = Finding(
            **{name: getattr(oracle, name) for name in oracle.__struct_fields__} | changes
        )
        monkeypatch.setattr(findings, "all_findings", lambda: (changed,))

    only(report="something else")
    assert main(command) == 1
    assert "known finding" not in capsys.readouterr().out
    only(cases=["add-offline"])
    assert main(["explore", "add-offline", "--bound", "1"]) == 1
    assert f"the known finding {ORACLE} is not found any more" in capsys.readouterr().out


def test_findings_are_listed_with_their_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings"]) == 0
    out = capsys.readouterr().out
    for finding in all_findings():
        assert finding.name in out
        assert finding.verdict() in out
    assert "predicted: " in out
    assert "refuted: " in out
    assert "confirmed on 7.3.4 with the window held open" in out


def test_a_finding_is_shown_with_all_that_upstream_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["findings", "show", ORACLE]) == 0
    out = capsys.readouterr().out
    for words in (
        "releases: 7.2 and 7.3",
        "0x790 in `__memcg_list_lru_alloc+0x7e/0x250`",
        "mem_cgroup_css_offline()",
        "| CPU1",
        'strcmp(current->comm, "d1victim")',
        "int main(void)",
        "What would mend it",
    ):
        assert words in out


def test_a_refuted_finding_is_shown_without_a_schedule() -> None:
    text = finding_text(finding_named("place-lost-in-the-old-queue"))
    assert "refuted: list_move()" in text
    assert "CPU1" not in text


def test_the_page_has_a_section_for_each() -> None:
    page = finding_page()
    for finding in all_findings():
        assert f"\n## {finding.name}\n" in page
        assert f"](#{finding.name})" in page


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["findings", "show", "nothing"], "there is no finding 'nothing'; there are unmap-lost"),
        (["findings", "show"], "give nothing, or `show`"),
        (["findings", "tell"], "give nothing, or `show`"),
    ],
)
def test_what_cannot_be_used_is_refused_with_status_2(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert text in capsys.readouterr().err


def test_a_name_that_is_unknown_is_an_error() -> None:
    with pytest.raises(InputError, match="there is no finding 'B06'"):
        finding_named("B06")


@pytest.mark.parametrize(
    "finding", [one for one in all_findings() if one.program()], ids=lambda one: one.name
)
def test_a_program_compiles_without_a_warning(finding: Finding, tmp_path: Path) -> None:
    """Its window names each task by which the program's tasks are told from others."""
    source = finding.program()
    names = re.findall(r'"(d1\w+|d3\w+|f1\w+)"', source)
    assert names
    for name in names:
        assert name in finding.window
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    done = subprocess.run(
        [
            "gcc",
            "-x",
            "c",
            "-O1",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            str(tmp_path / "program"),
            "-",
        ],
        input=source,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
