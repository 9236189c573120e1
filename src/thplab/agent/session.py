# SPDX-License-Identifier: GPL-2.0-only
"""One scenario from its first step to the last, and the cleaning up after it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from thplab.agent.cgroups import Hierarchy
from thplab.agent.kswapd import revive_kswapd
from thplab.agent.observer import Observer
from thplab.agent.probe import Verdict
from thplab.agent.steps import Performer, policy_words
from thplab.agent.task import Task
from thplab.agent.task_process import Operation
from thplab.agent.tunables import THP, Tunables
from thplab.observe.node_meminfo import cpus_of_node, online_nodes
from thplab.scenario.errors import InputError
from thplab.scenario.observation import Run, StepOutcome
from thplab.scenario.schema import Khugepaged, Scenario, Thp

__all__ = ["run_scenario", "stay_on_first_node"]

_OUTLIVES_THE_TASKS = -999


def stay_on_first_node() -> None:
    """Run, and have the tasks run, on the CPUs of node 0: there a policy of "local" puts memory.

    The agent is also the last that the OOM killer takes, tasks that ask for -1000 aside.
    """
    cpus = cpus_of_node(online_nodes()[0])
    if cpus:
        with contextlib.suppress(OSError):  # a cpuset may forbid it
            os.sched_setaffinity(0, cpus)
    Path("/proc/self/oom_score_adj").write_text(str(_OUTLIVES_THE_TASKS), encoding="ascii")


def run_scenario(scenario: Scenario, base: Path, verdict: Verdict, journal: Path | None) -> Run:
    """Run one scenario here.

    Args:
        scenario: what happens.
        base: the cgroup that stands for "/".
        verdict: which design this kernel has.
        journal: where tunables are noted before they are changed.

    Raises:
        InputError: this host cannot carry the scenario out.
    """
    nodes = len(scenario.host.nodes)
    if len(online_nodes()) < nodes:
        raise InputError(
            f"{scenario.name}: it asks for {nodes} nodes, this host has {len(online_nodes())}; "
            "a virtual machine has as many as the scenario says"
        )
    tunables = Tunables(journal)
    hierarchy = Hierarchy(base)
    tasks: dict[str, Task] = {}
    run = Run(
        scenario=scenario.name,
        backend="kernel",
        design=verdict.design,
        title=os.uname().release,
        release=os.uname().release,
        traits=verdict.traits,
        observations=[],
    )
    try:
        run.notes.extend(_set_thp(scenario.host.thp, tunables))
        revive_kswapd(base, range(nodes))
        _compact_memory()
        hierarchy.make(scenario.cgroups)
        observer = Observer(nodes, hierarchy, ["/", *scenario.cgroups])
        _start_tasks(scenario, hierarchy, tasks)
        performer = Performer(tasks, hierarchy, tunables, observer)
        run.observations = performer.observations
        for index, step in enumerate(scenario.steps):
            text = performer.perform(step)
            if text:
                name = step.__struct_config__.tag
                run.outcomes.append(StepOutcome(step=index, do=str(name), text=text))
    finally:
        for task in tasks.values():
            task.kill()
        hierarchy.remove_all()
        tunables.restore()
    return run


def _start_tasks(scenario: Scenario, hierarchy: Hierarchy, tasks: dict[str, Task]) -> None:
    for name, declared in scenario.tasks.items():
        task = Task.start(name, list(tasks.values()), declared.oom_score_adj)
        tasks[name] = task
        hierarchy.attach(declared.cgroup, task.pid)
        if declared.policy is not None:
            mode, mask = policy_words(declared.policy)
            task.command(Operation.SET_MEMPOLICY, mode, mask)


def _set_thp(thp: Thp, tunables: Tunables) -> list[str]:
    """Set what the scenario's host has; what this kernel lacks is told."""
    tunables.set(THP / "enabled", thp.enabled)
    tunables.set(THP / "defrag", thp.defrag)
    _set_khugepaged(thp.khugepaged, tunables)
    try:
        tunables.set(THP / "shrink_underused", int(thp.shrink_underused))
    except FileNotFoundError:
        return ["this kernel has no shrink_underused (6.12): it splits no huge page as underused"]
    return []


def _set_khugepaged(khugepaged: Khugepaged, tunables: Tunables) -> None:
    directory = THP / "khugepaged"
    tunables.set(directory / "max_ptes_none", khugepaged.max_ptes_none)
    tunables.set(directory / "pages_to_scan", khugepaged.pages_to_scan)
    if khugepaged.awake:  # it is parked otherwise, from the agent's start to its end
        tunables.set(directory / "alloc_sleep_millisecs", 60000)
        tunables.set(directory / "scan_sleep_millisecs", khugepaged.scan_sleep_millisecs)


def _compact_memory() -> None:
    """Have free memory in huge pages, as far as it can be, whatever ran before."""
    with contextlib.suppress(OSError):
        Path("/proc/sys/vm/compact_memory").write_text("1", encoding="ascii")
