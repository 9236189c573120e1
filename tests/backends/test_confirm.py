# SPDX-License-Identifier: GPL-2.0-only
"""A finding of the explorer is looked for in a guest, and the guest's end is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.test_confirm import FOUND, LOST, sight
from tests.backends.conftest import kernel_or_skip
from thplab.agent.confirm.sight import Request
from thplab.agent.report import WorkDirectory
from thplab.backends import confirm as confirming
from thplab.backends.confirm import confirm
from thplab.backends.errors import KernelRunError
from thplab.backends.guest import GuestEnd
from thplab.explorer.findings import finding_named
from thplab.scenario.errors import InputError

REQUEST = Request(name="place-lost-by-migration", designs=["list_lru"])


@pytest.mark.vm
def test_a_released_kernel_loses_the_place_of_a_huge_page_that_is_moved_during_a_scan() -> None:
    kernel = kernel_or_skip("bzImage-7.3")
    designs = finding_named(REQUEST.name).designs
    found = confirm(Request(name=REQUEST.name, designs=designs), str(kernel))
    assert found.without.queued_before == [1, 0]
    assert found.without.queued_after == [0, 1]
    assert found.held is not None
    assert found.held.queued_before == [1, 0]
    assert found.held.queued_after == [0, 0]
    assert found.seen


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Callable[[WorkDirectory], str]]:
    """What guests do in turn: each writes to its work directory, and returns its console."""
    turns: list[Callable[[WorkDirectory], str]] = []

    class FakeGuest:
        def __init__(self, *_arguments: object) -> None:
            pass

        def run(self, command: list[str], work: Path, *_rest: object) -> GuestEnd:
            assert command[-3:] == ["thplab.agent.confirm", "--work", "/run/thplab"]
            directory = WorkDirectory(work)
            assert directory.read(directory.request, Request) == REQUEST
            return GuestEnd(0, turns.pop(0)(directory), "tcg", "")

    monkeypatch.setattr(confirming, "Guest", FakeGuest)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return turns


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "bzImage-x"
    path.write_bytes(bytes(0x202) + b"HdrS" + bytes(0x1000))
    return str(path)


def test_what_the_guest_saw_is_returned_also_after_the_emulators_early_oops(
    boots: list[Callable[[WorkDirectory], str]], image: str
) -> None:
    seen = sight(FOUND, LOST)

    def see(work: WorkDirectory) -> str:
        work.write(work.sight, seen)
        return ""

    boots.extend([lambda _work: "Oops: int3: 0000", see])
    assert confirm(REQUEST, image) == seen
    assert not boots


def test_a_kernel_without_bpf_is_an_error_of_the_input_with_the_reason(
    boots: list[Callable[[WorkDirectory], str]], image: str
) -> None:
    def fail(work: WorkDirectory) -> str:
        work.write(work.failure, "bpf(2): Function not implemented; CONFIG_BPF_SYSCALL brings it")
        return ""

    boots.append(fail)
    with pytest.raises(InputError, match=r"bzImage-x cannot .* CONFIG_BPF_SYSCALL brings it"):
        confirm(REQUEST, image)


def test_a_guest_that_dies_is_told_with_its_panic(
    boots: list[Callable[[WorkDirectory], str]], image: str
) -> None:
    boots.append(lambda _work: "Kernel panic - not syncing: Fatal exception")
    with pytest.raises(KernelRunError, match=r"the kernel panicked: .*Fatal exception"):
        confirm(REQUEST, image)
