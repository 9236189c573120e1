# SPDX-License-Identifier: GPL-2.0-only
"""The model as a backend: a scenario runs in this process, on one design of the queue."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping

from thplab import designs
from thplab.backends.model_steps import ModelSteps
from thplab.cpu.errors import KernelBug
from thplab.errors import DesignError, ThplabError
from thplab.mm.deferred_split import DeferredSplitQueue
from thplab.mm.machine import Machine
from thplab.scenario.observation import Run, StepOutcome
from thplab.scenario.schema import Scenario

__all__ = ["build_machine", "run"]


def run(
    scenario: Scenario,
    design: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    traits: Mapping[str, bool] | None = None,
) -> Run:
    """Run a scenario on the model.

    Args:
        scenario: what happens.
        design: a name of thplab.designs.names(), or "file.py:Class".
        progress: called before each step with its index and how many there are.
        traits: where to be as another release than 7.2: see :attr:`thplab.scenario.observation.Run.traits`.

    Raises:
        ScenarioError: a step cannot be carried out; nothing is returned then.
        DesignError: the design cannot be loaded, or raised something that no kernel says.
    """
    queue = designs.load(design)
    title = design.rpartition(":")[2] if ":" in design else design
    result = Run(
        scenario=scenario.name, backend="model", design=title, title=title, observations=[]
    )
    machine: Machine | None = None
    # The model keeps no garbage in cycles while it runs, and looking for some takes a fifth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        machine = build_machine(scenario, queue)
        _take_traits(machine, traits or {})
        with machine.entered():
            _run_steps(scenario, machine, result, design, progress)
    except (ThplabError, KernelBug):
        raise
    except Exception as error:
        if ":" not in design:
            raise
        raise DesignError(f"design {design} raised {type(error).__name__}: {error}") from error
    finally:
        if machine is not None:
            machine.teardown()
        if collecting:
            gc.enable()
    result.warnings.extend(
        text if times == 1 else f"{text} ({times} times)" for text, times in machine.log.items()
    )
    return result


def _run_steps(
    scenario: Scenario,
    machine: Machine,
    result: Run,
    design: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    steps = ModelSteps(scenario, machine, result.observations)
    for index, step in enumerate(scenario.steps):
        if progress is not None:
            progress(index, len(scenario.steps))
        try:
            text = steps.perform(index, step)
        except KernelBug as bug:
            # A real kernel stops here too. What was seen before stays.
            result.warnings.append(f"{scenario.where(index)}: {bug}")
            return
        except ThplabError:
            raise
        except Exception as error:
            if ":" not in design:
                raise
            raise DesignError(
                f"{scenario.where(index)}: design {design} raised {type(error).__name__}: {error}"
            ) from error
        if text:
            kind = str(step.__struct_config__.tag)
            result.outcomes.append(StepOutcome(step=index, do=kind, text=text))


def _take_traits(machine: Machine, traits: Mapping[str, bool]) -> None:
    machine.madvise.pt_reclaim = traits.get("pt_reclaim", True)
    machine.memory.reuse_large_folio = traits.get("reuse_large_folio", True)
    if not traits.get("splits_underused", True):
        machine.huge_memory.thp.shrink_underused = False
        machine.huge_memory.zero_page_at_split = False
    machine.huge_memory.scan_skips_mlocked = traits.get("scan_skips_mlocked", True)


def build_machine(scenario: Scenario, queue: Callable[[Machine], DeferredSplitQueue]) -> Machine:
    """The scenario's host, with its cgroups and tasks, before the first step."""
    host = scenario.host
    distances = [list(row) for row in host.distances] if host.distances else None
    machine = Machine([int(size) for size in host.nodes], queue, host.memcg, distances)
    thp = machine.huge_memory.thp
    thp.enabled = host.thp.enabled
    thp.defrag = host.thp.defrag
    thp.shrink_underused = host.thp.shrink_underused
    khugepaged = machine.khugepaged
    khugepaged.awake = host.thp.khugepaged.awake
    khugepaged.max_ptes_none = host.thp.khugepaged.max_ptes_none
    khugepaged.pages_to_scan = host.thp.khugepaged.pages_to_scan
    khugepaged.scan_sleep_millisecs = host.thp.khugepaged.scan_sleep_millisecs
    return machine
