# SPDX-License-Identifier: GPL-2.0-only
"""`python -m thplab.agent --work DIRECTORY [--cgroup DIRECTORY]`: run a batch of scenarios here.

The work directory holds scenarios.json, a list of scenarios; the agent adds facts.json, a Run for
each scenario as soon as it is complete, and `done` at the end, or failure.txt.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import msgspec

from thplab.agent.free_lists import hold_free_lists_still
from thplab.agent.khugepaged import Parking
from thplab.agent.probe import probe_release
from thplab.agent.report import KernelFacts, WorkDirectory
from thplab.agent.session import run_scenario, stay_on_first_node
from thplab.agent.system_calls import disable_thp
from thplab.agent.tunables import Tunables
from thplab.observe.node_meminfo import online_nodes
from thplab.releases.release import Release
from thplab.scenario.errors import InputError
from thplab.scenario.schema import Scenario
from thplab.scenario.tunables import AWAKE

__all__ = ["main"]


def main() -> int:
    """Run the batch; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m thplab.agent", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument(
        "--cgroup",
        type=Path,
        default=Path("/sys/fs/cgroup"),
        metavar="DIRECTORY",
        help="the cgroup that stands for the scenario's root",
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    work = WorkDirectory(arguments.work)
    try:
        _run_batch(work, arguments.cgroup)
    except (InputError, OSError, LookupError, msgspec.MsgspecError) as error:
        work.write(work.failure, f"{type(error).__name__}: {error}")
        print(f"agent: {error}", file=sys.stderr)
        return 2
    work.write(work.done, os.uname().release)
    return 0


def _end(number: int, _frame: FrameType | None) -> None:
    """Turn a signal to end into an exception, so that the agent restores everything before it ends."""
    raise SystemExit(128 + number)


def _run_batch(work: WorkDirectory, base: Path) -> None:
    scenarios = work.read(work.scenarios, list[Scenario]) or []
    stay_on_first_node()
    disable_thp(True)
    tunables = Tunables(work.journal)
    parking = Parking(tunables)
    try:
        hold_free_lists_still(tunables)
        parking.park()
        release = _probe(work, base)
        for index, scenario in enumerate(scenarios):
            _mark(f"scenario {index} begins: {scenario.name}")
            journal = work.journal.with_name(f"tunables-{index}.json")
            with parking.lifted(bool(scenario.host.thp[AWAKE])):
                run = run_scenario(scenario, base, release, journal)
            _mark(f"scenario {index} ends")
            work.write(work.run(index), run)
    finally:
        parking.end()
        tunables.restore()


def _probe(work: WorkDirectory, base: Path) -> Release:
    """Find out what this kernel does, and write it to facts.json."""
    tunables = Tunables(work.journal.with_name("tunables-probe.json"))
    try:
        release, how = probe_release(base, tunables)
    finally:
        tunables.restore()
    nodes = len(online_nodes())
    facts = KernelFacts(kernel=os.uname().release, release=release, how=how, nodes=nodes)
    work.write(work.facts, facts)
    return release


def _mark(text: str) -> None:
    """Write a line to the kernel's log, which shows later during which scenario the kernel complained."""
    with contextlib.suppress(OSError), Path("/dev/kmsg").open("w", encoding="utf-8") as log:
        log.write(f"thplab: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
