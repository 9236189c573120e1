# SPDX-License-Identifier: GPL-2.0-only
"""Real kernels collapse as the model does: where to, what is shared, what is partly mapped, which error."""

from __future__ import annotations

from pathlib import Path

import pytest

from thplab.backends import vm
from thplab.comparison.bounds import verify_beside
from thplab.scenario.loader import load
from thplab.scenario.observation import Run

pytestmark = pytest.mark.vm

FIELD = Path(__file__).parent.parent / "data" / "field"
NAMES = (
    "collapse-holes",
    "collapse-nodes",
    "collapse-partly-mapped",
    "khugepaged-child",
    "khugepaged-cold",
    "khugepaged-shared",
)


def test_collapse_is_that_of_the_kernel(kernel: Path) -> None:
    scenarios = [load(FIELD / f"{name}.toml") for name in NAMES]
    for scenario, run in zip(scenarios, vm.run_each(scenarios, str(kernel)), strict=True):
        assert isinstance(run, Run), run
        verification = verify_beside(scenario, run)
        assert verification.complaints == [], scenario.name
