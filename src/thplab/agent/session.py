# SPDX-License-Identifier: GPL-2.0-only
"""Runs one scenario from its first step to the last, and cleans up after it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from thplab.agent.cgroup_mount import set_recursiveprot
from thplab.agent.cgroups import Hierarchy
from thplab.agent.free_lists import drop_caches
from thplab.agent.kernel_world import KernelWorld
from thplab.agent.kswapd import revive_kswapd
from thplab.agent.observer import Observer
from thplab.agent.task import Task
from thplab.agent.tunables import Tunables, path_of
from thplab.observe.node_meminfo import cpus_of_node, online_nodes, read_node_meminfo
from thplab.observe.vmstat import fold_per_cpu_counters
from thplab.observe.zoneinfo import read_host_facts
from thplab.releases.release import Release
from thplab.scenario.check import walk
from thplab.scenario.errors import InputError
from thplab.scenario.host import Host
from thplab.scenario.observation import Run
from thplab.scenario.policies import POLICY_SINCE
from thplab.scenario.schema import Scenario
from thplab.scenario.tunables import AWAKE
from thplab.scenario.units import human_size

__all__ = ["huge_pages_of_others", "note_host", "run_scenario", "stay_on_first_node"]

_OUTLIVES_THE_TASKS = -999
_SLEEPS = ("khugepaged/scan_sleep_millisecs", "khugepaged/alloc_sleep_millisecs")
_WEIGHTS = Path("/sys/kernel/mm/mempolicy/weighted_interleave")


def stay_on_first_node() -> None:
    """Run this process and its tasks on the CPUs of node 0, so that the policy "local" takes memory there.

    Also make the agent the OOM killer's last choice, except for tasks with an oom_score_adj of -1000.
    """
    cpus = cpus_of_node(online_nodes()[0])
    if cpus:
        with contextlib.suppress(OSError):  # a cpuset may forbid it
            os.sched_setaffinity(0, cpus)
    Path("/proc/self/oom_score_adj").write_text(str(_OUTLIVES_THE_TASKS), encoding="ascii")


def run_scenario(scenario: Scenario, base: Path, release: Release, journal: Path | None) -> Run:
    """Run one scenario here.

    Args:
        scenario: what happens.
        base: the cgroup that stands for "/".
        release: what the probe found that this kernel does.
        journal: the file for the old values of tunables.

    Raises:
        InputError: this host cannot carry the scenario out.
    """
    nodes = len(scenario.host.nodes)
    if len(online_nodes()) < nodes:
        raise InputError(
            f"{scenario.name}: it needs {nodes} nodes, this host has {len(online_nodes())}; "
            "a virtual machine has as many as the scenario says"
        )
    tunables = Tunables(journal)
    hierarchy = Hierarchy(base)
    tasks: dict[str, Task] = {}
    run = Run(
        scenario=scenario.name,
        backend="kernel",
        title=os.uname().release,
        release=release,
        kernel=os.uname().release,
        observations=[],
    )
    try:
        run.notes.extend(huge_pages_of_others(range(nodes)))
        run.notes.extend(_set_tunables(scenario.host, tunables))
        run.notes.extend(_set_weights(scenario.host.weights(), tunables))
        note = set_recursiveprot(base, scenario.host.recursiveprot, may_change=hierarchy.is_root)
        if note and scenario.cgroups:
            run.notes.append(note)
        revive_kswapd(base, range(nodes))
        if hierarchy.is_root:
            drop_caches()
        _compact_memory()
        hierarchy.make(scenario.cgroups)
        observer = Observer(nodes, hierarchy, ["/", *scenario.cgroups])
        awake = bool(scenario.host.thp[AWAKE])
        world = KernelWorld(tasks, hierarchy, tunables, observer, khugepaged_awake=awake)
        _start_tasks(scenario, hierarchy, tasks, world)
        note_host(run, nodes, hierarchy, {task.cgroup for task in scenario.tasks.values()})
        run.observations = world.observations
        for index, step in enumerate(scenario.steps):
            outcome = world.perform(step, index)
            if outcome is not None:
                run.outcomes.append(outcome)
    finally:
        for task in tasks.values():
            task.kill()
        hierarchy.remove_all()
        tunables.restore()
    return run


def huge_pages_of_others(nodes: Iterable[int], sys: Path = Path("/sys")) -> list[str]:
    """A note if other processes have huge pages before the tasks start: these may be on the queue too."""
    held = sum(read_node_meminfo(node, sys).get("AnonHugePages", 0) for node in nodes)
    if not held:
        return []
    found = f"other processes had {human_size(held)} of huge pages when the scenario began"
    return [
        f"{found}; where reclaim splits some of them, the counters of the machine count these too"
    ]


def _start_tasks(
    scenario: Scenario, hierarchy: Hierarchy, tasks: dict[str, Task], world: KernelWorld
) -> None:
    turn = walk(scenario).turn
    for name, declared in scenario.tasks.items():
        task = Task.start(name, list(tasks.values()), declared.oom_score_adj)
        task.turn = turn
        tasks[name] = task
        hierarchy.attach(declared.cgroup, task.pid)
        if declared.policy is not None:
            world.set_mempolicy(name, declared.policy)


def note_host(run: Run, nodes: int, hierarchy: Hierarchy, populated: set[str]) -> None:
    """Note what the nodes have, and the cgroups with tasks, or why that is unknown."""
    fold_per_cpu_counters()
    try:
        host = read_host_facts(nodes)
        charged = {path: hierarchy.charged(path) for path in sorted(populated - {"/"})}
        run.host = msgspec.structs.replace(host, charged=charged if hierarchy.has_memory else {})
    except (OSError, ValueError, LookupError) as error:
        run.notes.append(
            f"the model's nodes are those of the scenario, because those of the kernel are unknown: {error}"
        )


def _set_tunables(host: Host, tunables: Tunables) -> list[str]:
    """Set the tunables of the scenario's host; return a note for each that this kernel lacks."""
    notes = []
    settings = host.thp
    for row, value in (*settings.items(), *host.vm.items()):
        if row.ours or (row.file in _SLEEPS and not settings[AWAKE]):
            continue  # from the agent's start to its end, Parking sets these
        try:
            tunables.set(path_of(row), row.text(value))
        except FileNotFoundError:
            brought = f"{row.since} brought it" if row.since else "it needs CONFIG_NUMA"
            notes.append(f"this kernel has no {row.file} ({brought})")
    return notes


def _set_weights(weights: tuple[int, ...], tunables: Tunables) -> list[str]:
    """Set the weights of weighted interleaving; return a note if this kernel has none."""
    if not _WEIGHTS.is_dir():
        lacking = any(weight != 1 for weight in weights)
        since = POLICY_SINCE["weighted_interleave"]
        return [f"this kernel has no weighted_interleave ({since} brought it)"] if lacking else []
    files = [_WEIGHTS / f"node{nid}" for nid in range(len(weights))]
    if [int(file.read_text(encoding="ascii")) for file in files] != list(weights):
        with contextlib.suppress(
            FileNotFoundError
        ):  # 6.16 brought it; each write below switches it off
            tunables.set(_WEIGHTS / "auto", "false")
        for file, weight in zip(files, weights, strict=True):
            tunables.set(file, weight)
    return []


def _compact_memory() -> None:
    """Compact free memory into huge pages, as far as possible, whatever ran before."""
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/compact_memory").write_text("1", encoding="ascii")
