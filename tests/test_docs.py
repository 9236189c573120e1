# SPDX-License-Identifier: GPL-2.0-only
"""What the documentation shows is what happens."""

from __future__ import annotations

import ast
import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

from thplab.backends import model
from thplab.scenario import loader
from thplab.scenario.claims import evaluate
from thplab.scenario.library import library_dir

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "docs" / "examples"
NODE_QUEUE = f"{EXAMPLES / 'node_queue.py'}:NodeQueue"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("module", ["mm/list_lru", "mm/shrinker", "scenario/parts"])
def test_module_docstrings_run_as_written(module: str) -> None:
    """From the source, for a compiled module has its docstring elsewhere."""
    source = ROOT / "src" / "thplab" / f"{module}.py"
    name = f"thplab.{module.replace('/', '.')}"
    found = __import__(name, fromlist=["x"])
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
    assert text is not None
    examples = doctest.DocTestParser().get_doctest(text, dict(vars(found)), name, str(source), 0)
    assert examples.examples
    result = doctest.DocTestRunner().run(examples)
    assert result.failed == 0


def test_the_dentry_cache_prints_what_its_page_shows() -> None:
    """docs/own-objects.md has the output."""
    ran = subprocess.run(
        [sys.executable, EXAMPLES / "dentries.py"], capture_output=True, text=True, check=True
    )
    page = (ROOT / "docs" / "own-objects.md").read_text(encoding="utf-8")
    shown = page.split("$ python docs/examples/dentries.py\n")[1].split("\n\n")[0]
    assert [line.strip() for line in shown.splitlines()] == ran.stdout.splitlines()


@pytest.mark.parametrize(
    "name", ["cover-letter", "eight-and-sixty-four", "interleave", "fork-shared", "underused"]
)
def test_the_example_design_runs_scenarios_without_a_warning(name: str) -> None:
    """docs/examples/node_queue.py."""
    run = model.run(loader.load(library_dir() / f"{name}.toml"), NODE_QUEUE)
    assert run.warnings == []
    assert run.observations


def test_a_queue_for_each_node_lets_a_cgroup_at_its_limit_be_killed() -> None:
    """What docs/designs.md says of the example, and what 87eaceb3faa5 fixed."""
    scenario = loader.load(library_dir() / "memcg-limit.toml")
    run = model.run(scenario, NODE_QUEUE)
    assert run.observations[-1].vmstat["oom_kill"] == 1
    assert any(result.verdict == "failed" for result in evaluate(scenario, run))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    """Markdown links and pictures that name a file."""
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"
