# SPDX-License-Identifier: GPL-2.0-only
"""Looking for a finding on a kernel: what counts as seen, the program that holds a task, and the kernel's functions."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import cast

import msgspec
import pytest

from thplab.agent.confirm import bpf
from thplab.agent.confirm.scenes import SCENES, symbol
from thplab.agent.confirm.sight import Sight, Telling
from thplab.explorer.findings import all_findings

FOUND = Telling(
    queued_before=[1, 0],
    queued_after=[0, 1],
    partially_mapped=0,
    split_meanwhile=0,
    split_by_scan=1,
)
LOST = Telling(
    queued_before=[1, 0],
    queued_after=[0, 0],
    partially_mapped=0,
    split_meanwhile=0,
    split_by_scan=0,
)
NEVER_QUEUED = msgspec.structs.replace(LOST, queued_before=[0, 0])


def sight(without: Telling, held: Telling | None) -> Sight:
    return Sight(finding="f", kernel="7.3.4", place="function()", without=without, held=held)


def test_a_finding_is_seen_if_the_huge_page_is_lost_with_the_window_and_found_without() -> None:
    seen = sight(FOUND, LOST)
    assert seen.seen
    assert seen.verdict() == "confirmed on 7.3.4 with the window held open at function()"


@pytest.mark.parametrize(
    ("without", "held", "why"),
    [
        (FOUND, FOUND, "a scan still finds the huge page"),
        (LOST, LOST, "without the window, too, no scan finds the huge page"),
        (FOUND, None, "the window did not open at function()"),
        (FOUND, NEVER_QUEUED, "the huge page was on no queue to begin with"),
    ],
)
def test_otherwise_it_is_not_seen_and_the_verdict_says_why(
    without: Telling, held: Telling | None, why: str
) -> None:
    other = sight(without, held)
    assert not other.seen
    assert other.verdict().startswith("not seen on 7.3.4: ")
    assert why in other.verdict()


@pytest.mark.parametrize(
    "changes",
    [
        {"split_meanwhile": 1},
        {"split_by_scan": 1},
        {"queued_after": [0, 1]},
        {"queued_before": [0, 0]},
    ],
)
def test_a_huge_page_is_not_lost_if_it_was_split_or_is_queued_or_never_was(
    changes: dict[str, object],
) -> None:
    assert not msgspec.structs.replace(LOST, **changes).lost


def test_each_finding_that_says_how_a_probe_shows_it_has_a_scene_and_no_other() -> None:
    assert {finding.name for finding in all_findings() if finding.probe} == set(SCENES)
    for finding in all_findings():
        if finding.probe:
            assert f"thplab findings confirm {finding.name} --kernel IMAGE" in finding.probe
            assert finding.status == "confirmed"
            assert finding.check != "oops"


class FakeWords:
    map = 7


def test_the_program_jumps_to_instructions_and_its_loops_call_the_body() -> None:
    words = cast("bpf.Words", FakeWords())
    text, body = bpf._holder(words, "d3scan", 0, 1, 2, 1.5)
    code = [struct.unpack_from("=BBhi", text, place) for place in range(0, len(text), 8)]
    wide = {place for place, one in enumerate(code) if one[0] == 0x18}
    inside = set(range(len(code))) - {place + 1 for place in wide}
    loops = 0
    for place, (operation, registers, offset, value) in enumerate(code):
        if place - 1 in wide:
            continue
        if operation & 7 == 5 and operation not in {0x85, 0x95}:
            assert place + 1 + offset in inside
        if place in wide and registers >> 4 == 4:
            assert place + 1 + value == body
            loops += 1
    assert loops == sum(one[0] == 0x85 and one[3] == 181 for one in code) > 1
    assert code[body - 1][0] == code[-1][0] == 0x95
    assert b"d3sc" in text
    assert struct.pack("=i", 1_500_000_000) in text


def test_a_function_is_found_with_the_compilers_suffix_and_its_length(tmp_path: Path) -> None:
    (tmp_path / "kallsyms").write_text(
        "ffffffff81000100 t mover.constprop.0\n"
        "ffffffff81000100 t alias\n"
        "ffffffff81000160 T next\n"
        "ffffffff81000000 T move\n"
        "ffffffffa0000000 t in_module [some_module]\n",
        encoding="ascii",
    )
    assert symbol("mover", tmp_path) == ("mover.constprop.0", 0x60)
    assert symbol("move", tmp_path) == ("move", 0x100)
    for missing in ("in_module", "mov"):
        with pytest.raises(OSError, match=rf"no function {missing}\(\)"):
            symbol(missing, tmp_path)
