# SPDX-License-Identifier: GPL-2.0-only
"""Runs scenarios on this host's kernel: only if the user asks for it, and within a limit.

The agent runs here as root. Its tasks live in a cgroup of their own whose memory.max is the memory
of the scenario's host, so that pressure ends in that cgroup's own OOM kill.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from thplab.agent.cgroups import remove_tree
from thplab.agent.report import KernelFacts, WorkDirectory
from thplab.agent.tunables import restore_from_journal
from thplab.backends.agent_command import agent_command, agent_environment
from thplab.backends.errors import KernelRunError
from thplab.backends.guardian import guarded
from thplab.backends.signals import signals_interrupt
from thplab.scenario.errors import InputError
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario
from thplab.scenario.units import human_size

__all__ = ["cgroup_mount", "describe", "run_batch"]

_RESERVE = 512 << 20
_GRACE_SECONDS = 20
_CLEAN_UP = (
    'kill -TERM "$1"; n=0; '
    "while grep -q '^State:.[^Z]' \"/proc/$1/status\" && [ $n -lt 200 ]; do "
    "n=$((n + 1)); sleep 0.1; done; "
    'rmdir "$2"; rm -rf -- "$3"'
)
"""For a guardian: the agent restores everything when it ends. It may stay a zombie if no process waits for it."""


def describe(scenarios: Sequence[Scenario]) -> list[str]:
    """What thplab will do to this host, in sentences that the user reads before it does so."""
    limit = human_size(_needed(scenarios))
    settings = "Settings below /sys/kernel/mm/transparent_hugepage change for the whole host"
    return [
        f"{len(scenarios)} scenario(s) run on this host's kernel, as root.",
        f"Their tasks live in a cgroup of their own, limited to {limit}; thplab removes it afterwards.",
        f"{settings}, and khugepaged sleeps meanwhile; thplab restores every setting afterwards.",
    ]


def run_batch(scenarios: Sequence[Scenario], announce: Callable[[str], None]) -> list[Run]:
    """Run scenarios here, one after the other.

    Args:
        scenarios: what to run.
        announce: called with each sentence of :func:`describe` before anything runs.

    Raises:
        InputError: this host cannot do it: no root, no cgroup v2 with memory, too little memory.
        KernelRunError: the agent failed.
    """
    mount = _check(scenarios)
    for sentence in describe(scenarios):
        announce(sentence)
    with (
        tempfile.TemporaryDirectory(prefix="thplab-host-") as directory,
        signals_interrupt(),
    ):
        work = WorkDirectory(Path(directory))
        work.write(work.scenarios, scenarios)
        try:
            with _cgroup(mount, _needed(scenarios)) as base:
                status, errors = _run_agent(work, base)
        finally:
            _restore_tunables(work)
        return _collect(work, len(scenarios), status, errors)


def cgroup_mount(proc: Path = Path("/proc")) -> Path | None:
    """Where a version 2 hierarchy with the memory controller is mounted, or None."""
    for line in (proc / "mounts").read_text(encoding="utf-8").splitlines():
        _device, directory, kind, *_options = line.split()
        if kind == "cgroup2":
            controllers = Path(directory) / "cgroup.controllers"
            with contextlib.suppress(OSError):
                if "memory" in controllers.read_text(encoding="ascii").split():
                    return Path(directory)
    return None


def _needed(scenarios: Sequence[Scenario]) -> int:
    return max((sum(scenario.host.nodes) for scenario in scenarios), default=0)


def _check(scenarios: Sequence[Scenario]) -> Path:
    if os.geteuid() != 0:
        raise InputError(
            "--on host needs root: run it as root, or use --kernel for a virtual machine"
        )
    mount = cgroup_mount()
    if mount is None:
        raise InputError(
            "--on host needs cgroup v2 with the memory controller; boot with "
            "systemd.unified_cgroup_hierarchy=1, or use --kernel for a virtual machine"
        )
    for scenario in scenarios:
        if scenario.host.memcg != "on":
            raise InputError(
                f"{scenario.name}: its host was booted with memcg = {scenario.host.memcg!r}, "
                "which this host cannot become; use --kernel for a virtual machine"
            )
    needed = _needed(scenarios) + _RESERVE
    available = _available()
    if available < needed:
        raise InputError(
            f"--on host needs {human_size(needed)} of free memory here and there are "
            f"{human_size(available)}; give the scenario smaller nodes"
        )
    return mount


def _available() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def _cgroup(mount: Path, limit: int) -> Iterator[Path]:
    """A cgroup for the agent's tasks, removed afterwards with all that is in it."""
    control = mount / "cgroup.subtree_control"
    had_memory = "memory" in control.read_text(encoding="ascii").split()
    base = mount / f"thplab-{os.getpid()}"
    try:
        if not had_memory:
            control.write_text("+memory", encoding="ascii")
        base.mkdir()
        (base / "memory.max").write_text(str(limit), encoding="ascii")
        yield base
    except OSError as error:
        raise InputError(f"--on host: the cgroup {base}: {error.strerror}") from error
    finally:
        remove_tree(base)
        if not had_memory:
            with contextlib.suppress(OSError):  # something else uses it by now
                control.write_text("-memory", encoding="ascii")


def _run_agent(work: WorkDirectory, base: Path) -> tuple[int, str]:
    """Run the agent; whatever happens here, end it, and give it the time to clean up."""
    command = agent_command("--work", str(work.path), "--cgroup", str(base))
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | agent_environment(),
        start_new_session=True,
    )
    try:
        with guarded(_CLEAN_UP, str(process.pid), str(base), str(work.path)):
            _, errors = process.communicate()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    return process.returncode, errors


def _restore_tunables(work: WorkDirectory) -> None:
    """Restore what a killed agent left changed: the last scenario's tunables first, then its own."""
    for journal in sorted(work.path.glob("tunables*.json"), key=lambda path: path == work.journal):
        restore_from_journal(journal)


def _collect(work: WorkDirectory, count: int, status: int, errors: str) -> list[Run]:
    runs = []
    facts = work.read(work.facts, KernelFacts)
    for index in range(count):
        run = work.read(work.run(index), Run)
        if run is None:
            break
        how = []
        if facts is not None:
            how.append(f"Linux {facts.kernel}, on this host")
            how.append(f"design {facts.release.design}: {facts.how}")
        how.append(
            "pressure reaches the limit of the tasks' cgroup before it fills a node, and reclaim at "
            "that limit looks at every node"
        )
        runs.append(msgspec.structs.replace(run, title="this host", notes=[*run.notes, *how]))
    if len(runs) < count or not work.done.exists():
        failure = work.read(work.failure, str) or errors.strip().rpartition("\n")[2]
        raise KernelRunError(f"the agent failed here, status {status}: {failure}", runs=runs)
    return runs
