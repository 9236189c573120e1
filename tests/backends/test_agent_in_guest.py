# SPDX-License-Identifier: GPL-2.0-only
"""The agent in a guest that a test commands by a shell: killed, told to end, and playing a host."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.backends.scenes import GIB, SHORT, TWO_NODES, victim_and_hog
from thplab.agent.report import KernelFacts, WorkDirectory
from thplab.backends.agent_command import agent_command, agent_environment
from thplab.backends.guest import GUEST_WORK, Guest
from thplab.backends.kernel_image import find_kernel
from thplab.scenario.host import Host
from thplab.scenario.observation import Run
from thplab.scenario.steps.wait import Wait
from thplab.scenario.units import Size

pytestmark = pytest.mark.vm


def in_guest(kernel: Path, work: Path, shell: str, host: Host = TWO_NODES) -> str:
    """Run a shell command in a guest; what was on its console."""
    guest = Guest(find_kernel(str(kernel)), host)
    return guest.run(["sh", "-c", shell], work, lambda: 0, 120.0).console


def agent_in_shell(*options: str) -> str:
    """The agent's command for a shell."""
    environment = " ".join(f"{name}={value}" for name, value in agent_environment().items())
    return f"env {environment} {' '.join(agent_command(*options))}"


def host_in_shell(folder: Path, *after: str) -> str:
    """A command for the shell of a guest that plays the host: the scenarios of its work directory run there.

    Args:
        folder: where the script goes.
        after: its last lines, in Python.
    """
    lines = (
        "from pathlib import Path",
        "from thplab.agent.report import WorkDirectory",
        "from thplab.backends import host",
        "from thplab.scenario.schema import Scenario",
        f"work = WorkDirectory(Path({GUEST_WORK!r}))",
        "said = []",
        "runs = host.run_batch(work.read(work.scenarios, list[Scenario]), said.append)",
        *after,
    )
    (folder / "script.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = " ".join(f"{name}={value}" for name, value in agent_environment().items())
    return f"{environment} {sys.executable} {GUEST_WORK}/script.py"


def test_an_agent_killed_half_way_keeps_what_was_done(new_kernel: Path, tmp_path: Path) -> None:
    work = WorkDirectory(tmp_path)
    waiting = victim_and_hog("waiting", 1, 1, [Wait(seconds=600)], pressure=False)
    work.write(work.scenarios, [SHORT, waiting])
    second = f"{GUEST_WORK}/run-0000.json"
    in_guest(
        new_kernel,
        tmp_path,
        f"{agent_in_shell('--work', GUEST_WORK)} & "
        f"while [ ! -e {second} ]; do sleep 0.2; done; sleep 2; kill -9 $!; sleep 1; "
        "for _ in 1 2 3 4 5 6 7 8 9 10; do "
        f"readlink /proc/[0-9]*/exe | grep -c bin/python > {GUEST_WORK}/pythons || break; sleep 1; done",
    )
    assert work.read(work.run(0), Run) is not None
    assert work.read(work.run(1), Run) is None
    assert not work.done.exists()
    assert (tmp_path / "pythons").read_text(encoding="utf-8") == "0\n", "tasks outlived the agent"


def test_an_agent_told_to_end_cleans_up(new_kernel: Path, tmp_path: Path) -> None:
    """SIGTERM half-way: every cgroup goes, every tunable gets its value back."""
    work = WorkDirectory(tmp_path)
    waiting = victim_and_hog("waiting", 1, 1, [Wait(seconds=600)], pressure=False)
    work.write(work.scenarios, [SHORT, waiting])
    settings = "/sys/kernel/mm/transparent_hugepage"
    files = f"{settings}/enabled {settings}/defrag {settings}/shrink_underused"
    sleeps = f"{settings}/khugepaged/scan_sleep_millisecs"
    in_guest(
        new_kernel,
        tmp_path,
        f"cat {files} {sleeps} > {GUEST_WORK}/before; "
        f"{agent_in_shell('--work', GUEST_WORK)} & "
        f"while [ ! -e {GUEST_WORK}/run-0000.json ]; do sleep 0.2; done; sleep 2; "
        f"cat {files} {sleeps} > {GUEST_WORK}/meanwhile; ls /sys/fs/cgroup > {GUEST_WORK}/made; "
        f"kill -TERM $!; wait $!; "
        f"cat {files} {sleeps} > {GUEST_WORK}/after; ls /sys/fs/cgroup > {GUEST_WORK}/left",
    )

    def said(name: str) -> str:
        return (tmp_path / name).read_text(encoding="utf-8")

    assert said("meanwhile") != said("before")
    assert said("after") == said("before")
    assert "victim" in said("made")
    assert "victim" not in said("left")


def test_a_host_with_one_node_asked_for_two_refuses(new_kernel: Path, tmp_path: Path) -> None:
    work = WorkDirectory(tmp_path)
    work.write(work.scenarios, [SHORT])
    in_guest(new_kernel, tmp_path, agent_in_shell("--work", GUEST_WORK), Host(nodes=(GIB,)))
    failure = work.read(work.failure, str)
    assert failure is not None
    assert "it needs 2 nodes, this host has 1" in failure


def test_the_host_backend_runs_within_its_cgroup_and_puts_all_back(
    new_kernel: Path, tmp_path: Path
) -> None:
    """A guest plays the host."""
    small = (Size(256 << 20), Size(256 << 20))
    work = WorkDirectory(tmp_path)
    scenes = [
        victim_and_hog("quiet", 2, 4, pressure=False, nodes=small),
        victim_and_hog("pressed", 2, 4, nodes=small),
    ]
    work.write(work.scenarios, scenes)
    command = host_in_shell(
        tmp_path,
        "work.write(work.path / 'runs.json', runs)",
        "work.write(work.path / 'said.json', said)",
        "work.write(work.path / 'left.json', [p.name for p in Path('/sys/fs/cgroup').iterdir()])",
    )
    console = in_guest(new_kernel, tmp_path, command)
    runs = work.read(tmp_path / "runs.json", list[Run])
    assert runs is not None, console[-2000:]
    quiet, pressed = runs
    assert [node.queue for node in quiet.observations[-1].cgroups["/victim"]] == [2, 4]
    assert pressed.outcomes[-1].text == "task hog was killed by the OOM killer"
    assert any("limited to 512M" in text for text in work.read(tmp_path / "said.json", list) or [])
    assert not any("thplab" in name for name in work.read(tmp_path / "left.json", list) or [])


def test_a_host_run_that_is_killed_is_cleaned_up(new_kernel: Path, tmp_path: Path) -> None:
    """SIGKILL of thplab, in a guest that plays the host: the agent is told to end, and puts all back."""
    small = (Size(256 << 20), Size(256 << 20))
    waiting = victim_and_hog("waiting", 1, 1, [Wait(seconds=600)], pressure=False, nodes=small)
    work = WorkDirectory(tmp_path)
    work.write(work.scenarios, [waiting])
    sleeps = "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"
    cgroups = "ls -d /sys/fs/cgroup/thplab-*"
    in_guest(
        new_kernel,
        tmp_path,
        f"cat {sleeps} > {GUEST_WORK}/before; "
        f"TMPDIR=/tmp {host_in_shell(tmp_path)} & "
        "while [ ! -e /tmp/thplab-host-*/facts.json ]; do sleep 0.2; done; sleep 2; "
        f"cat {sleeps} > {GUEST_WORK}/meanwhile; {cgroups} > {GUEST_WORK}/made; kill -9 $!; "
        "for _ in $(seq 30); do sleep 1; ls -d /tmp/thplab-host-* || break; done; "
        f"cat {sleeps} > {GUEST_WORK}/after; {cgroups} > {GUEST_WORK}/left; "
        f"ls /tmp > {GUEST_WORK}/files",
    )

    def said(name: str) -> str:
        return (tmp_path / name).read_text(encoding="utf-8")

    assert said("meanwhile") != said("before")
    assert said("after") == said("before")
    assert "thplab" in said("made")
    assert said("left") == ""
    assert "thplab-host-" not in said("files")


def test_the_facts_name_the_evidence(new_kernel: Path, tmp_path: Path) -> None:
    work = WorkDirectory(tmp_path)
    work.write(work.scenarios, [])
    console = in_guest(new_kernel, tmp_path, agent_in_shell("--work", GUEST_WORK))
    facts = work.read(work.facts, KernelFacts)
    assert facts is not None, console[-3000:]
    assert (facts.release.name, facts.release.design, facts.nodes) == ("6.12", "list_lru", 2)
    assert "[1, 2]" in facts.how
