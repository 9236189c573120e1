# SPDX-License-Identifier: GPL-2.0-only
"""No input makes the loader crash or stall: it gives a Scenario or a ScenarioError, soon."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scenario.scenario_text import FAR, HEAD, scenario_text, toml_value
from thplab.scenario.errors import ScenarioError
from thplab.scenario.library import library_files
from thplab.scenario.loader import loads
from thplab.scenario.schema import Scenario
from thplab.scenario.steps import STEPS

LIBRARY = [file.read_text() for file in library_files()]
LONGEST_SECONDS = 10.0
"""Far more than any input needs: a stall would be minutes."""

STEP_NAMES = list(STEPS)
WORDS = [
    *STEP_NAMES, "do", "task", "region", "size", "node", "cgroup", "part", "offset", "length",
    "policy", "label", "count", "seconds", "advice", "file", "value", "child", "locked", "write",
    "victim", "hog", "far", "/victim", "/jobs/one", "/jobs", "/", "2M", "128M", "0", "1.5G", "all",
    "memory.max", "max", "enabled", "after", "== 1", "upper half of each huge page", "{0..3}",
    "job{00..9}", "regions.victim.far.huge", "at", "expect", "since", "*", "\x00", "ä", "{9..1}",
]  # fmt: skip

leaves = (
    st.sampled_from(WORDS)
    | st.text(max_size=8)
    | st.integers(-2, 600)
    | st.integers()
    | st.booleans()
    | st.floats()
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=6), inner, max_size=5)
    ),
    max_leaves=12,
)
step_like = st.fixed_dictionaries(
    {"do": st.sampled_from(STEP_NAMES)},
    optional={
        "task": st.sampled_from(["victim", "hog", "kid", "nobody"]),
        "region": st.sampled_from(["far", "near"]),
        "size": st.sampled_from(["2M", "128M", "4K", "3K"]),
        "node": st.integers(-1, 2),
        "cgroup": st.sampled_from(["/", "/victim", "/jobs", "/jobs/one", "/none"]),
        "part": st.sampled_from(
            ["all", "upper half of each huge page", "page 9 of each huge page"]
        ),
        "offset": st.sampled_from(["0", "2M", "64M", "1G"]),
        "length": st.sampled_from(["2M", "64M", "0"]),
        "label": st.sampled_from(["after", "before"]),
        "child": st.sampled_from(["kid", "hog"]),
        "count": st.integers(-1, 100),
        "seconds": st.integers(-1, 100),
        "advice": st.sampled_from(["hugepage", "collapse", "cold"]),
        "file": st.sampled_from(["memory.max", "enabled", "nothing"]),
        "value": st.sampled_from(["max", "never", "2M", 3]),
    },
)


def survives(text: str) -> Scenario | ScenarioError:
    """Load it; anything but the two outcomes fails the test."""
    begun = time.monotonic()
    outcome: Scenario | ScenarioError
    try:
        outcome = loads(text)
    except ScenarioError as error:
        outcome = error
    if isinstance(outcome, ScenarioError):
        assert outcome.problem
        assert str(outcome).isprintable()
        assert len(str(outcome)) < 2000
    assert time.monotonic() - begun < LONGEST_SECONDS
    return outcome


@given(st.text())
def test_any_text(text: str) -> None:
    survives(text)


@given(
    st.dictionaries(
        st.sampled_from(["name", "host", "steps", "tasks"]) | st.text(max_size=5), values
    )
)
def test_any_tables(tables: dict[str, Any]) -> None:
    survives("\n".join(f"{toml_value(key)} = {toml_value(value)}" for key, value in tables.items()))


@given(
    st.lists(step_like, max_size=8),
    st.lists(st.dictionaries(st.sampled_from(WORDS), values, max_size=4), max_size=2),
)
def test_any_steps_and_claims(
    steps: list[dict[str, object]], claims: list[dict[str, object]]
) -> None:
    survives(scenario_text(FAR, *steps, claims=claims))


@given(st.sampled_from(["host", "cgroups", "tasks"]), values)
def test_any_head(section: str, value: object) -> None:
    head = HEAD.split(f"[{section}]", maxsplit=1)[0] + f"{section} = {toml_value(value)}\n"
    survives(scenario_text(FAR, head=head))


@settings(max_examples=200)
@given(st.sampled_from(LIBRARY), st.randoms(use_true_random=False))
def test_mutations_of_the_library(text: str, choices: random.Random) -> None:
    lines = text.splitlines()
    for _ in range(choices.randint(1, 4)):
        where = choices.randrange(len(lines))
        match choices.randrange(5):
            case 0:
                del lines[where]
                lines = lines or [""]
            case 1:
                lines.insert(where, choices.choice(lines))
            case 2:
                lines[where] = lines[where].replace('"', choices.choice(["", "'", '""']))
            case 3:
                key, _, _ = lines[where].partition("=")
                lines[where] = f"{key}= {toml_value(choices.choice(WORDS))}"
            case _:
                cut = choices.randrange(len(lines[where]) + 1)
                lines[where] = (
                    lines[where][:cut] + choices.choice("{}[]\"'=.#\t9 ") + lines[where][cut:]
                )
    survives("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    [
        scenario_text(FAR, *[{**FAR, "region": f"r{n}"} for n in range(5000)]),
        scenario_text({**FAR, "task": "job{0..9999}"}, head=HEAD.replace("victim", "job{0..9999}")),
        scenario_text(*[{**FAR, "region": "r{0..9999}"}] * 6),
        scenario_text(FAR, *[{"do": "unmap", "task": "victim", "region": "far", "offset": "{0..127}M", "length": "4K"}] * 20),
        scenario_text(FAR, *[{"do": "touch", "task": "victim", "region": "far", "part": f"page {n} of each huge page"} for n in range(512)] * 8),
        HEAD.replace("victim", "{0..9999}{0..9999}{0..9999}"),
        'a = "' + "\\" * 3900 + '"',
        "[a]\n" * 100_000,
        "[[steps]]\n" * 100_000,
        "\n".join(f"k{n} = {n}" for n in range(60_000)),
        "a = [" + "[],\n" * 200_000 + "]",
        "a = '''\n" + "x.y" * 300_000,
        "\n".join("x." * 99 + f"y{n} = 1" for n in range(4_000)),
    ],
    ids=range(13),
)  # fmt: skip
def test_large_input_is_answered_soon(text: str) -> None:
    survives(text)
