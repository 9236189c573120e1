# SPDX-License-Identifier: GPL-2.0-only
"""Real kernels place memory as the model does: by policy, by distance, and when a node is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from thplab.backends import vm
from thplab.comparison.bounds import verify_beside
from thplab.scenario.claims import evaluate
from thplab.scenario.loader import load
from thplab.scenario.observation import Run

pytestmark = pytest.mark.vm

FIELD = Path(__file__).parent.parent / "data" / "field"
EXACT = ("placement-policies", "placement-round")
CLAIMED = ("placement-square", "placement-defrag", "spill")
"""Zone DMA, and the lists of the other CPUs, leave a few base pages where the model's node is full (docs/fidelity.md)."""


def test_memory_is_where_the_kernel_puts_it(kernel: Path) -> None:
    scenarios = [load(FIELD / f"{name}.toml") for name in (*EXACT, *CLAIMED)]
    for scenario, run in zip(scenarios, vm.run_each(scenarios, str(kernel)), strict=True):
        assert isinstance(run, Run), run
        wrong = [result for result in evaluate(scenario, run) if result.verdict != "held"]
        assert wrong == [], scenario.name
        if scenario.name in EXACT:
            assert verify_beside(scenario, run).complaints == [], scenario.name
