# SPDX-License-Identifier: GPL-2.0-only
"""A file in thplab/scenario/steps/ is a step: what it must have, and that what it says survives."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import fields

from thplab.agent.report import WorkDirectory
from thplab.scenario.decode import decode
from thplab.scenario.errors import InputError
from thplab.scenario.host import Host
from thplab.scenario.parts import Part
from thplab.scenario.policies import Policy
from thplab.scenario.schema import Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps import STEPS, collect
from thplab.scenario.toml_text import parse_toml
from thplab.scenario.toml_writer import scenario_toml
from thplab.scenario.units import Size
from thplab.sweep.random_scenarios import random_scenario

WHOLE = '''
class Nap(Step, tag="nap", frozen=True):
    """Nothing for a while."""

    def check(self, declared):
        pass

    def on_model(self, world):
        return ""

    def on_kernel(self, world):
        return ""

    @classmethod
    def draw(cls, draw):
        return None
'''
PARTS = {
    "check": "def check",
    "on_model": "def on_model",
    "on_kernel": "def on_kernel",
    "draw": "def draw",
    "tag": ', tag="nap"',
    "docstring": '"""Nothing for a while."""',
}


def step_file(source: str, name: str = "nap") -> ModuleType:
    """A module as a file with this source would be."""
    module = ModuleType(f"thplab.scenario.steps.{name}")
    vars(module)["Step"] = Step
    exec(source, vars(module))  # noqa: S102 -- the source is written above
    return module


def lacking(part: str) -> str:
    """The whole step without one part."""
    word = PARTS[part]
    assert word in WHOLE
    return WHOLE.replace(word, word.replace("def ", "def un") if "def" in word else "")


def test_a_file_with_every_part_is_a_step() -> None:
    (kind,) = collect([step_file(WHOLE)]).values()
    assert kind.__name__ == "Nap"


@pytest.mark.parametrize("part", PARTS)
def test_a_step_that_lacks_a_part_is_named_with_the_part(part: str) -> None:
    with pytest.raises(InputError, match=rf"steps\.nap: Nap lacks {part};") as caught:
        collect([step_file(lacking(part))])
    assert caught.value.exit_status == 2


def test_two_steps_with_one_tag_are_both_named() -> None:
    files = [step_file(WHOLE), step_file(WHOLE, "doze")]
    with pytest.raises(InputError, match=r"steps\.nap and .*steps\.doze both .* step 'nap'"):
        collect(files)


@pytest.mark.parametrize(
    ("source", "count"), [(WHOLE + WHOLE.replace("Nap", "Doze"), 2), ("NOTHING = 0\n", 0)]
)
def test_a_file_has_one_step(source: str, count: int) -> None:
    with pytest.raises(InputError, match=rf"steps\.nap has {count} steps; .* has one"):
        collect([step_file(source)])


def test_a_step_of_another_file_does_not_count() -> None:
    """One step may use another, as `pressure` and `map` do."""
    module = step_file(WHOLE)
    vars(module)["Observe"] = STEPS["observe"]
    assert list(collect([module])) == ["nap"]


NAMES = st.text("abcxyz0189_-/", min_size=1, max_size=12)
VALUES: dict[object, st.SearchStrategy[Any]] = {
    str: NAMES,
    bool: st.booleans(),
    int: st.integers(-(1 << 63), (1 << 63) - 1),
    type(None): st.none(),
    Size: st.integers(0, 1 << 50).map(Size),
    Part: st.integers(0, 511).map(lambda page: Part.parse(f"page {page} of each huge page")),
    Policy: st.builds(Policy, mode=st.just("bind"), nodes=st.lists(st.integers(0, 9)).map(tuple)),
}


def values(kind: object) -> st.SearchStrategy[Any]:
    """Values that a step's field of this type may have."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) in {Union, UnionType}:
        return st.one_of(*(values(inner) for inner in get_args(kind)))
    return VALUES[kind]


@cache
def steps_of(kind: type[Step]) -> st.SearchStrategy[Step]:
    """Steps of a kind, whether or not there is a place for them in a scenario."""
    return st.builds(kind, **{field.name: values(field.type) for field in fields(kind)})


def survives(scenario: Scenario, folder: Path) -> None:
    """It is the same after it was a TOML file, and after the agent has read it."""
    assert decode(parse_toml(scenario_toml(scenario))) == scenario
    work = WorkDirectory(folder)
    work.write(work.scenarios, [scenario])
    assert work.read(work.scenarios, list[Scenario]) == [scenario]


@pytest.mark.parametrize("kind", STEPS.values(), ids=STEPS)
@settings(max_examples=30)
@given(data=st.data())
def test_whatever_a_step_says_survives(
    kind: type[Step], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    step = data.draw(steps_of(kind))
    host = Host(nodes=(Size(1 << 30),))
    survives(
        Scenario(name="one", summary="step", host=host, steps=(step,)),
        tmp_path_factory.getbasetemp(),
    )


@given(seed=st.integers(), number=st.integers(0, 1000))
def test_scenarios_that_fuzz_draws_survive(
    seed: int, number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    survives(random_scenario(seed, number), tmp_path_factory.getbasetemp())
