# SPDX-License-Identifier: GPL-2.0-only
"""Small scenarios whose claims real kernels of 6.12 and 7.3 showed."""

from __future__ import annotations

from pathlib import Path

import pytest

from thplab.backends import model
from thplab.releases.named import release_named
from thplab.scenario.claims import evaluate
from thplab.scenario.loader import load

FIELD = sorted((Path(__file__).parent.parent / "data" / "field").glob("*.toml"))


@pytest.mark.parametrize("release", ["6.12", "7.3"])
@pytest.mark.parametrize("file", FIELD, ids=[file.stem for file in FIELD])
def test_the_model_shows_what_a_kernel_showed(file: Path, release: str) -> None:
    scenario = load(file)
    results = evaluate(scenario, model.run(scenario, release=release_named(release)))
    assert results
    assert {(str(result.claim.value), result.actual) for result in results} == {
        (str(result.claim.value), result.actual) for result in results if result.verdict == "held"
    }
