# SPDX-License-Identifier: GPL-2.0-only
"""The model as a backend: it runs a scenario in this process, as a release, on a design of the queue."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from thplab import designs
from thplab.backends.model_world import ModelWorld
from thplab.cpu.errors import KernelBug
from thplab.designs import Design
from thplab.errors import DesignError, InputError, ThplabError
from thplab.mm.deferred_split import DeferredSplitQueue
from thplab.mm.machine import Machine
from thplab.releases.named import as_release
from thplab.releases.release import Release
from thplab.scenario.host import Host
from thplab.scenario.host_facts import HostFacts
from thplab.scenario.observation import Run
from thplab.scenario.schema import Scenario

__all__ = ["build_machine", "run"]


def run(
    scenario: Scenario,
    design: Design = "",
    *,
    release: Release | None = None,
    progress: Callable[[int, int], None] | None = None,
    facts: HostFacts | None = None,
) -> Run:
    """Run a scenario on the model.

    Args:
        scenario: what happens.
        design: a name of thplab.designs.names(), "file.py:Class", or a class; "": that of the release.
        release: the release that the model stands for; None: the newest.
        progress: called before each step with its index and the number of steps.
        facts: what the nodes of a kernel had when this scenario began there; None: the scenario's own.

    Raises:
        ScenarioError: a step is impossible.
        DesignError: the design cannot be loaded, or raised an exception that no kernel rule explains.
        InputError: the release cannot have the design.
    """
    stands_for = as_release(release or "", design)
    chosen = design or stands_for.design
    queue = designs.load(chosen)
    name = stands_for.design
    blamed = "" if designs.ships(chosen) else str(chosen)
    result = Run(
        scenario=scenario.name,
        backend="model",
        title=_title(name, release, facts),
        observations=[],
        release=stands_for,
        host=facts,
    )
    machine: Machine | None = None
    # The model makes no garbage in cycles, and the search for it would take a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with _blaming(blamed):
            machine = build_machine(scenario.host, queue, stands_for, facts)
        with machine.entered():
            _run_steps(scenario, ModelWorld(machine, stands_for), result, blamed, progress)
    finally:
        if machine is not None:
            machine.teardown()
        if collecting:
            gc.enable()
    result.warnings.extend(
        text if times == 1 else f"{text} ({times} times)" for text, times in machine.log.items()
    )
    return result


def _title(design: str, release: Release | None, facts: HostFacts | None) -> str:
    title = design if release is None else f"{release.name} {design}"
    return title if facts is None else f"{title}, its nodes"


@contextmanager
def _blaming(design: str, where: str = "") -> Iterator[None]:
    """Turn other exceptions of a user's design into a DesignError with its name and the place; "": no such design."""
    try:
        yield
    except (ThplabError, KernelBug):
        raise
    except Exception as error:
        if not design:
            raise
        place = f"{where}: " if where else ""
        raise DesignError(
            f"{place}design {design} raised {type(error).__name__}: {error}"
        ) from error


def _run_steps(
    scenario: Scenario,
    world: ModelWorld,
    result: Run,
    blamed: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    result.observations = world.observations
    for path, settings in scenario.cgroups.items():
        world.add_cgroup(path, settings)
    for name, task in scenario.tasks.items():
        world.add_task(name, task)
    for path, nr_pages in (result.host.charged if result.host is not None else {}).items():
        if path not in scenario.cgroups:
            raise InputError(
                f"{scenario.name}: the facts about the host charge cgroup {path}, which this scenario does not have; "
                "give a result of this scenario"
            )
        world.cgroup(path).memory.charge(nr_pages)
    ticks = result.host.ticks if result.host is not None else None
    for index, step in enumerate(scenario.steps):
        if progress is not None:
            progress(index, len(scenario.steps))
        where = scenario.where(index)
        try:
            with _blaming(blamed, where):
                if ticks is not None and index >= ticks:
                    world.tick()
                outcome = world.perform(step, where, index)
        except KernelBug as bug:
            # A real kernel stops here too. The earlier observations stay.
            result.warnings.append(f"{where}: {bug}")
            return
        if outcome is not None:
            result.outcomes.append(outcome)


def build_machine(
    host: Host,
    design: type[DeferredSplitQueue],
    release: Release,
    facts: HostFacts | None = None,
) -> Machine:
    """The model of a host, before the first step.

    Raises:
        InputError: the facts are those of a host with another number of nodes.
    """
    if facts is not None and len(facts.nodes) != len(host.nodes):
        raise InputError(
            f"the scenario has {len(host.nodes)} nodes, the facts are about {len(facts.nodes)}; "
            "take them from a run of this scenario"
        )
    distances = [list(row) for row in host.distances] if host.distances else None
    machine = Machine([int(size) for size in host.nodes], design, host.memcg, distances)
    release.apply(machine)
    machine.mempolicy.weights = list(host.weights())
    for nid, node in enumerate(facts.nodes if facts is not None else ()):
        machine.pages.found(
            nid,
            node.managed,
            node.free,
            node.free - min(node.whole, node.free),
            (node.left_at("min"), node.left_at("low"), node.balanced),
            node.largest.batch,
        )
        if facts is not None and facts.reclaims:
            machine.pages.nodes[nid].files = min(
                node.reclaimable + node.kept, node.managed - node.free
            )
    if facts is not None:
        machine.oom.second_victims = facts.second_victims
        machine.charges.stock_empty = facts.stock_empty
        machine.khugepaged.misses_madvise = facts.misses_madvise
    world = ModelWorld(machine, release)
    machine.memcg.recursiveprot = host.recursiveprot and release.recursive_protection
    for row, value in (*host.thp.items(), *host.vm.items()):
        if release.has(row.since):
            world.set_tunable(row, value)
    return machine
