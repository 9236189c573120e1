# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios on a kernel in a virtual machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from thplab.agent.report import KernelFacts, WorkDirectory
from thplab.backends.agent_command import guest_command
from thplab.backends.errors import KernelRunError
from thplab.backends.guest import Guest, GuestEnd
from thplab.backends.kernel_image import KernelImage, find_kernel
from thplab.backends.kernel_log import find_complaints, keep_kernel_log, panic_of
from thplab.scenario.errors import InputError, ThplabError
from thplab.scenario.host import Host
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario
from thplab.scenario.steps.wait import Wait

__all__ = ["TIME_LIMITS", "boot_again", "run", "run_each", "why_failed"]

TIME_LIMITS = {"kvm": 60.0, "tcg": 240.0}
"""Seconds for a boot, or for one scenario, by accelerator; the seconds that a scenario waits are added."""
_NO_ROOT = "Unable to mount root fs"
_EARLY_FLAKE = "Oops: int3"
"""About one boot in a hundred under multi-threaded emulation dies so in sched_clock_cpu, before the first
process. No scenario causes it."""


def run(scenario: Scenario, kernel: str, time_limit: float | None = None) -> Run:
    """Run one scenario. See :func:`run_each`.

    Raises:
        KernelRunError: the guest failed.
    """
    (outcome,) = run_each([scenario], kernel, time_limit)
    if isinstance(outcome, ThplabError):
        raise outcome
    return outcome


def run_each(
    scenarios: Sequence[Scenario], kernel: str, time_limit: float | None = None
) -> list[Run | ThplabError]:
    """Run scenarios on one kernel: those that need the same machine share a boot.

    If a scenario crashes the guest, the rest run in another boot. If this host cannot be the machine of
    some, because it has too little memory for example, the others run.

    Args:
        scenarios: what to run; each has cgroups and processes of its own.
        kernel: see :func:`thplab.backends.kernel_image.find_kernel`.
        time_limit: seconds that a guest may take for its boot, and for each scenario, before thplab
            kills it; None: :data:`TIME_LIMITS`. The seconds that a scenario waits are added.

    Returns:
        For each scenario, in order, its Run, or the failure: a KernelRunError, or an InputError if this
        host cannot be its machine.

    Raises:
        InputError: this host can run none of them; the message names the remedy.
        KernelRunError: the first guest failed before its first scenario.
    """
    image = find_kernel(kernel)
    outcomes: dict[int, Run | ThplabError] = {}
    for host, places in _by_machine(scenarios).items():
        left = places
        while left:
            failure = None
            try:
                done = _boot(image, host, [scenarios[place] for place in left], time_limit)
            except KernelRunError as error:
                if not error.begun and not outcomes:
                    raise
                failure, done = error, error.runs
            except InputError as error:
                outcomes.update(dict.fromkeys(left, error))
                break
            outcomes.update(zip(left, done, strict=False))
            left = left[len(done) :]
            if failure is not None:
                left = _blame(failure, left, outcomes)
    refused = [outcome for outcome in outcomes.values() if isinstance(outcome, InputError)]
    if refused and len(refused) == len(outcomes):
        raise refused[0]
    return [outcomes[place] for place in range(len(scenarios))]


def _blame(
    failure: KernelRunError, left: list[int], outcomes: dict[int, Run | ThplabError]
) -> list[int]:
    """Assign a failure to the scenario in which it came; return the places of those still to run."""
    if not failure.begun:
        outcomes.update(dict.fromkeys(left, failure))
        return []
    if left:
        outcomes[left[0]] = failure
    else:  # it came after all were complete: the last one's Run reports it
        last = failure.runs[-1]
        complaining = msgspec.structs.replace(last, warnings=[*last.warnings, str(failure)])
        outcomes.update(
            (place, complaining) for place, outcome in outcomes.items() if outcome is last
        )
    return left[1:]


def _by_machine(scenarios: Iterable[Scenario]) -> dict[Host, list[int]]:
    """The places of the scenarios, by the machine that they need. The agent sets THP settings, so any boot has them."""
    machines: dict[Host, list[int]] = {}
    for place, scenario in enumerate(scenarios):
        host = scenario.host
        machine = Host(nodes=host.nodes, distances=host.distances, memcg=host.memcg)
        machines.setdefault(machine, []).append(place)
    return machines


def _boot(
    image: KernelImage, host: Host, scenarios: list[Scenario], time_limit: float | None
) -> list[Run]:
    """Boot once for all of them; boot again if the first boot died of the known early Oops, or KVM failed."""
    guest = Guest(image, host)
    notes: list[str] = []
    while True:
        with tempfile.TemporaryDirectory(prefix="thplab-guest-") as directory:
            work = WorkDirectory(Path(directory))
            work.write(work.scenarios, scenarios)
            end = _run_guest(guest, work, scenarios, time_limit)
            if work.read(work.facts, KernelFacts) is not None or not boot_again(guest, end, notes):
                return _collect(image, guest, work, end, len(scenarios), notes)


def boot_again(guest: Guest, end: GuestEnd, notes: list[str]) -> bool:
    """Whether a guest that ended before the agent did anything is to be booted once more; notes say why."""
    if not notes and _EARLY_FLAKE in end.console:
        notes.append("the first boot died of the emulator's int3 Oops; booted again")
        return True
    if end.accelerator == "kvm" and panic_of(end.console) is None:
        guest.give_up_kvm("a guest ended before the agent started")
        return True
    return False


def _run_guest(
    guest: Guest, work: WorkDirectory, scenarios: list[Scenario], time_limit: float | None
) -> GuestEnd:
    accelerator, _reason = guest.accelerator()
    waits = [
        sum(step.seconds for step in scenario.steps if isinstance(step, Wait))
        for scenario in scenarios
    ]
    patience = (time_limit or TIME_LIMITS[accelerator]) + max(waits, default=0)
    return guest.run(guest_command(), work.path, work.marks, patience)


def _collect(
    image: KernelImage,
    guest: Guest,
    work: WorkDirectory,
    end: GuestEnd,
    count: int,
    notes: list[str],
) -> list[Run]:
    facts = work.read(work.facts, KernelFacts)
    complaints = find_complaints(end.console)
    kept = keep_kernel_log(image.name, end.console)
    runs: list[Run] = []
    for index in range(count):
        run = work.read(work.run(index), Run)
        if run is None:
            break
        how = [
            *_how(guest, facts, notes),
            *(f"known and not counted: {k}" for k in complaints.known),
        ]
        runs.append(
            msgspec.structs.replace(
                run,
                title=image.name,
                notes=[*run.notes, *how, f"the kernel's log is {kept}"],
                warnings=[
                    *run.warnings,
                    *complaints.elsewhere,
                    *complaints.by_scenario.get(index, []),
                ],
            )
        )
    if len(runs) < count or not work.done.exists():
        raise KernelRunError(
            f"{image.name}: {why_failed(work, end)}", str(kept), runs, begun=facts is not None
        )
    return runs


def _how(guest: Guest, facts: KernelFacts | None, notes: list[str]) -> list[str]:
    """How thplab ran the guest, as notes for the reader."""
    accelerator, reason = guest.accelerator()
    how = (
        "KVM" if accelerator == "kvm" else f"software emulation (KVM does not work here: {reason})"
    )
    if facts is None:
        return [*notes, f"Linux in QEMU, {how}"]
    design = f"design {facts.release.design}: {facts.how}"
    return [*notes, f"Linux {facts.kernel} in QEMU, {how}", design]


def why_failed(work: WorkDirectory, end: GuestEnd) -> str:
    """Why a guest failed, by the best evidence that there is."""
    failure = work.read(work.failure, str)
    if failure is not None:
        return f"the agent failed: {failure}"
    if end.stopped:
        return end.stopped
    panic = panic_of(end.console)
    if panic is not None and _NO_ROOT in panic:
        return (
            f"the kernel cannot mount this host's files: {panic}; it takes 9p over virtio built in "
            "(CONFIG_9P_FS, CONFIG_NET_9P_VIRTIO), or its modules in lib/modules of the folder that has the image"
        )
    if panic is not None:
        return f"the kernel panicked: {panic}"
    if work.facts.exists():
        killed = [line for line in end.console.splitlines() if "Out of memory: Killed" in line]
        detail = f" (the kernel's last OOM kill: {killed[-1].strip()})" if killed else ""
        return f"the agent was killed or ended early{detail}"
    last = [line for line in end.console.splitlines() if line.strip()][-1:]
    return f"the guest ended before the agent ran: {''.join(last).strip()}"
