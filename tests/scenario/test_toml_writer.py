# SPDX-License-Identifier: GPL-2.0-only
"""A scenario that is written out and read back is the same scenario."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from thplab.scenario.library import library_files
from thplab.scenario.loader import load, loads
from thplab.scenario.toml_writer import scenario_toml


@pytest.mark.parametrize("path", library_files(), ids=lambda path: path.stem)
def test_the_library_survives_being_written(path: Path) -> None:
    scenario = load(path)
    if len(scenario.steps) > 2000:
        pytest.skip("its ranges in braces, written out, are beyond what a file may have")
    assert loads(scenario_toml(scenario)) == msgspec.structs.replace(scenario, origins=())


def test_names_that_need_quotes_get_them() -> None:
    text = 'name = "q"\nsummary = "say \\"so\\""\n[host]\nnodes = ["1G"]\n[cgroups]\n"/a" = {}\n'
    text += '[[steps]]\ndo = "observe"\nlabel = "now"\n'
    written = scenario_toml(loads(text))
    assert '[cgroups."/a"]' in written
    assert 'summary = "say \\"so\\""' in written
    assert loads(written) == loads(text)
