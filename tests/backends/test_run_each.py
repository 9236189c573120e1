# SPDX-License-Identifier: GPL-2.0-only
"""Many scenarios on one kernel: who shares a boot, and what a guest that fails costs the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.backends.scenes import GIB, SHORT
from thplab.backends import vm
from thplab.backends.errors import KernelRunError
from thplab.backends.kernel_image import KernelImage
from thplab.releases.release import Release
from thplab.scenario.errors import InputError, ThplabError
from thplab.scenario.host import Host
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario
from thplab.scenario.units import Size

VAST = Size(1 << 50)


class Guests:
    """Stands for booting: scenarios called "deadly" bring the guest down.

    Attributes:
        boots: the names of the scenarios of each.
        fails_at_boot: from this boot on no guest gets as far as a scenario.
    """

    def __init__(self) -> None:
        self.boots: list[list[str]] = []
        self.fails_at_boot = 1000

    def boot(
        self, image: KernelImage, host: Host, scenarios: Sequence[Scenario], limit: float | None
    ) -> list[Run]:
        """What vm._boot() does."""
        del image, limit
        if host.nodes == (VAST,):
            raise InputError("too little memory")
        self.boots.append([scenario.name for scenario in scenarios])
        if len(self.boots) > self.fails_at_boot:
            raise KernelRunError("no boot", begun=False)
        runs: list[Run] = []
        for scenario in scenarios:
            if scenario.name == "deadly":
                raise KernelRunError("it panicked", runs=runs)
            runs.append(
                Run(
                    scenario=scenario.name,
                    backend="kernel",
                    title="",
                    observations=[],
                    release=Release.of_version("6.12", "split_queue"),
                )
            )
        if scenarios[-1].name == "last":
            raise KernelRunError("it panicked at the end", runs=runs)
        return runs


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> Guests:
    """In the place of real ones."""
    fake = Guests()
    monkeypatch.setattr(vm, "_boot", fake.boot)
    monkeypatch.setattr(vm, "find_kernel", lambda name: KernelImage(Path(name), name))
    return fake


def named(*names: str, host: Host = SHORT.host) -> list[Scenario]:
    """Scenarios on this host."""
    return [msgspec.structs.replace(SHORT, name=name, host=host) for name in names]


def names(outcomes: Sequence[Run | ThplabError]) -> list[str]:
    """The scenarios that ran, and the problems of the others."""
    return [one.scenario if isinstance(one, Run) else str(one) for one in outcomes]


def test_scenarios_that_need_the_same_machine_share_a_boot(guests: Guests) -> None:
    mixed = [*named("a"), *named("b", host=Host(nodes=(GIB,))), *named("c")]
    assert names(vm.run_each(mixed, "bzImage")) == ["a", "b", "c"]
    assert guests.boots == [["a", "c"], ["b"]]


def test_one_that_brings_the_guest_down_does_not_keep_the_rest_from_running(
    guests: Guests,
) -> None:
    outcomes = vm.run_each(named("a", "deadly", "c", "deadly", "d"), "bzImage")
    assert names(outcomes) == ["a", "it panicked", "c", "it panicked", "d"]
    assert guests.boots == [["a", "deadly", "c", "deadly", "d"], ["c", "deadly", "d"], ["d"]]


def test_a_guest_that_fails_when_all_is_done_is_a_warning(guests: Guests) -> None:
    (first, last) = vm.run_each(named("a", "last"), "bzImage")
    assert isinstance(first, Run)
    assert isinstance(last, Run)
    assert first.warnings == []
    assert last.warnings == ["it panicked at the end"]
    assert len(guests.boots) == 1


def test_a_kernel_that_does_not_boot_is_tried_once(guests: Guests) -> None:
    guests.fails_at_boot = 0
    with pytest.raises(KernelRunError, match="no boot"):
        vm.run_each(named("a", "b", "c"), "bzImage")
    assert len(guests.boots) == 1


def test_what_ran_before_a_boot_failed_is_kept(guests: Guests) -> None:
    guests.fails_at_boot = 1
    assert names(vm.run_each(named("a", "deadly", "b", "c"), "bzImage")) == [
        *("a", "it panicked"),
        *("no boot", "no boot"),
    ]


def test_a_machine_that_cannot_be_had_does_not_keep_the_others_from_running(guests: Guests) -> None:
    mixed = [*named("vast", host=Host(nodes=(VAST,))), *named("a")]
    assert names(vm.run_each(mixed, "bzImage")) == ["too little memory", "a"]
    with pytest.raises(InputError, match="too little memory"):
        vm.run_each(mixed[:1], "bzImage")


def test_a_single_run_raises_what_happened_instead(guests: Guests) -> None:
    assert vm.run(named("a")[0], "bzImage").scenario == "a"
    with pytest.raises(KernelRunError, match="it panicked"):
        vm.run(named("deadly")[0], "bzImage")
    assert len(guests.boots) == 2
