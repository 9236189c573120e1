# SPDX-License-Identifier: GPL-2.0-only
"""A failure can be repeated from one word, and a word that does not fit is refused."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import pytest

from thplab.errors import DesignError, InputError
from thplab.explorer.checkpoint import Progress
from thplab.explorer.core_search import Failure
from thplab.explorer.corpus import bug_named
from thplab.explorer.corpus.search import search_bug
from thplab.explorer.replay_id import FORMAT, decode, encode
from thplab.explorer.session import case_for, replay
from thplab.explorer.strategies.exhaustive import Exhaustive
from thplab.explorer.verdict import Budget


def found(number: str) -> Failure:
    failure = search_bug(bug_named(number)).broken.shortest
    assert failure is not None
    return failure


def packed(content: object) -> str:
    data = zlib.compress(json.dumps(content).encode())
    checked = zlib.crc32(data).to_bytes(4, "big") + data
    return base64.b32encode(checked).decode().rstrip("=").lower()


@pytest.mark.parametrize("number", ["B05", "B06", "B07", "B32"])
def test_an_id_repeats_the_failure(number: str) -> None:
    failure = found(number)
    text = encode(bug_named(number).broken, failure)
    again = replay(text, None, None)
    assert again is not None
    assert again.failure.check == failure.check
    assert again.failure.text() == failure.text()
    assert again.failure.schedule == failure.schedule
    assert again.id == text


def test_an_id_survives_line_breaks_and_capitals() -> None:
    text = encode(bug_named("B06").broken, found("B06"))
    assert decode(f" {text[:30]}\n{text[30:].upper()} ") == decode(text)


def test_the_same_schedule_on_the_fixed_code_does_not_fail() -> None:
    bug = bug_named("B23")
    failure = found("B23")
    recording = decode(encode(bug.broken, failure))
    verdict = Exhaustive(0).search(bug.fixed, Budget())
    assert verdict.failure is None
    assert recording.case == "B23"


@pytest.mark.parametrize("text", ["", "nonsense!", "aaaa", "mfrggzdfmztwq2lk"])
def test_a_damaged_id_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="it is damaged or cut short"):
        decode(text)


def test_a_shortened_id_is_refused() -> None:
    text = encode(bug_named("B06").broken, found("B06"))
    with pytest.raises(InputError, match="it is damaged or cut short"):
        decode(text[:-4])


def test_an_id_in_another_format_is_refused() -> None:
    with pytest.raises(InputError, match=f"its format is 99, this version writes {FORMAT}"):
        decode(packed([99]))


def test_an_id_without_a_schedule_is_refused() -> None:
    with pytest.raises(InputError, match="it has no schedule"):
        decode(packed([FORMAT, "B06"]))


def test_an_id_of_another_version_is_refused() -> None:
    content = [FORMAT, "B06", "", 12345, -1, -1, [0, 5]]
    with pytest.raises(InputError, match="of another version: case B06 does something else here"):
        replay(packed(content), None, None)


def test_an_id_of_another_case_or_design_is_refused() -> None:
    text = encode(bug_named("B06").broken, found("B06"))
    with pytest.raises(InputError, match="of case B06, not of B07"):
        replay(text, "B07", None)
    case = case_for("add-offline", "list_lru_v1")
    failure = Exhaustive(2).search(case, Budget()).failure
    assert failure is not None
    with pytest.raises(InputError, match="of design list_lru_v1, not of list_lru"):
        replay(encode(case, failure), None, "list_lru")


def test_a_design_that_raises_is_told_from_a_bug(tmp_path: Path) -> None:
    file = tmp_path / "raises.py"
    file.write_text(
        "from thplab.designs import DeferredSplitQueue\n"
        "class Raises(DeferredSplitQueue):\n"
        "    def enqueue(self, folio, partially_mapped):\n"
        "        raise ValueError('no idea')\n"
        "    def unqueue(self, folio):\n"
        "        return False\n"
        "    def count_objects(self, sc):\n"
        "        return 0\n"
        "    def scan_objects(self, sc):\n"
        "        return 0\n"
        "    def freeze(self, folio, expected):\n"
        "        return folio.ref_freeze(expected)\n"
    )
    with pytest.raises(DesignError, match=r"the code raised ValueError: no idea"):
        Exhaustive(1).search(case_for("add-offline", f"{file}:Raises"), Budget())
    with pytest.raises(
        DesignError, match="it raised ValueError: no idea, while case scan-split was set up"
    ):
        case_for("scan-split", f"{file}:Raises")


def whole(case_name: str) -> int:
    verdict = Exhaustive(2).search(case_for(case_name, "list_lru"), Budget())
    assert verdict.exhausted
    return verdict.executions


def test_a_search_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    path = str(tmp_path / "search")
    case = case_for("add-offline", "list_lru")
    for _ in range(100):
        verdict = Exhaustive(2, checkpoint=path).search(case, Budget(executions=20))
        assert verdict.failure is None
        if verdict.exhausted:
            break
    assert verdict.exhausted
    assert verdict.executions == whole("add-offline")


def test_a_failure_is_found_after_a_checkpoint(tmp_path: Path) -> None:
    path = str(tmp_path / "search")
    case = bug_named("B07").broken
    for _ in range(100):
        verdict = Exhaustive(2, checkpoint=path).search(case, Budget(executions=10))
        if verdict.failure is not None:
            break
    assert verdict.failure is not None
    assert verdict.failure.check == "lifetime"


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "search"
    case = case_for("add-offline", "list_lru")
    Exhaustive(2, checkpoint=str(path)).search(case, Budget(executions=20))
    with pytest.raises(
        InputError, match="the checkpoint is of case add-offline on list_lru up to 2"
    ):
        Exhaustive(3, checkpoint=str(path)).search(case, Budget())
    other = case_for("del-offline", "list_lru")
    with pytest.raises(InputError, match="not of del-offline"):
        Exhaustive(2, checkpoint=str(path)).search(other, Budget())
    text = path.read_text()
    for damaged in (text[:-20], text.replace("stack", "stuck"), "[]", ""):
        path.write_text(damaged)
        with pytest.raises(InputError, match="this is no intact checkpoint"):
            Exhaustive(2, checkpoint=str(path)).search(case, Budget())


def test_progress_begins_at_nothing() -> None:
    assert Progress() == Progress(bound=0, fault=-1, stack=None, executions=0)
