# SPDX-License-Identifier: GPL-2.0-only
"""Scenario files: what they decode to, and what a wrong one is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.scenario.scenario_text import FAR, HEAD, scenario_text
from thplab.scenario.errors import ScenarioError
from thplab.scenario.loader import load, loads
from thplab.scenario.steps.map import Map
from thplab.scenario.steps.touch import Touch
from thplab.scenario.tunables import CgroupSettings
from thplab.scenario.units import Size

TOUCH: dict[str, object] = {"do": "touch", "task": "victim", "region": "far"}


def complaint(text: str) -> str:
    """What the loader says of a wrong scenario."""
    with pytest.raises(ScenarioError) as caught:
        loads(text, path="x.toml")
    message = str(caught.value)
    assert message.startswith("x.toml: ")
    assert "; " in message, "a remedy is missing"
    assert "\n" not in message
    return message.removeprefix("x.toml: ")


def test_a_scenario_is_decoded_into_typed_steps() -> None:
    scenario = loads(scenario_text(FAR, TOUCH))
    assert scenario.host.nodes == (1 << 30, 1 << 30)
    assert scenario.steps == (
        Map(task="victim", region="far", size=Size(128 << 20), node=1),
        Touch(task="victim", region="far"),
    )
    assert scenario.origins == ()


def test_parents_that_the_file_leaves_out_are_made_before_their_children() -> None:
    scenario = loads(scenario_text(FAR, head=HEAD.replace('"/jobs/one"', '"/a/b/c"')))
    assert list(scenario.cgroups) == ["/victim", "/a", "/a/b", "/a/b/c"]
    assert scenario.cgroups["/a"] == CgroupSettings()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"siz": "1M"}, 'step 1 (map): unknown key "siz"; did you mean "size"?'),
        ({"size": "128"}, 'step 1 (map): size: "128" has no unit'),
        ({"size": 128}, "step 1 (map): size: 128 has no unit"),
        ({"size": ["1M"]}, "step 1 (map): size: no size"),
        ({"node": "1"}, "step 1 (map): node is text; it must be a whole number"),
        ({"node": 1.0}, "step 1 (map): node is a number with a fraction"),
        ({"node": True}, "step 1 (map): node is true or false"),
        ({"thp": "hugepages"}, 'thp cannot be "hugepages"; did you mean "hugepage"?'),
        ({"policy": {"mode": "bin"}}, 'policy.mode cannot be "bin"; did you mean "bind"?'),
        ({"policy": {"mode": "bind", "node": [1]}}, 'unknown key "node"; did you mean "nodes"?'),
        ({"policy": {"nodes": [1]}}, 'policy: the key "mode" is missing'),
        ({"policy": {"mode": "bind", "nodes": ["1"]}}, "policy.nodes[0] is text"),
        ({"do": "mapp"}, 'step 1: there is no step "mapp"; did you mean "map"?'),
        ({"do": 3}, 'step 1: there is no step "3"'),
    ],
)
def test_a_wrong_value_is_named_with_step_and_remedy(change: dict[str, object], told: str) -> None:
    assert told in complaint(scenario_text({**FAR, **change}))


def test_a_missing_key_is_named() -> None:
    step = {key: value for key, value in FAR.items() if key != "region"}
    assert 'step 1 (map): the key "region" is missing' in complaint(scenario_text(step))
    step = {key: value for key, value in FAR.items() if key != "do"}
    assert 'step 1: the key "do" is missing' in complaint(scenario_text(step))
    assert 'the key "steps" is missing' in complaint(HEAD)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", 'the key "name" is missing'),
        ("a = [", "not TOML"),
        ("= 3", "not TOML"),
        ("a = " + "[" * 3000, "not TOML"),
        ("a = " + "9" * 3900, "the key"),
        ("x" * 5000, "5000 characters long"),
        ("a." * 200 + "b = 1", "dots"),
        ("a\x00b", "control character"),
        ("a = 1\n" * 200_000, "too large"),
        (HEAD.replace("[host]", "steps = 3\n[host]"), "steps: expected tables, got a whole number"),
        (HEAD.replace("[host]", "steps = [3]\n[host]"), "step 1: expected a table"),
        (HEAD.replace("[host]", "steps = []\nclaims = 3\n[host]"), "claims: expected tables"),
        (
            HEAD.replace("[host]", "steps = []\ncgroups = 3\n[host]").split("[cgroups]")[0],
            "cgroups",
        ),
        (HEAD.replace("[host]", "Name = 3\n[host]"), 'unknown key "Name"; did you mean "name"?'),
        (HEAD.replace('"test"', "2026-01-01") + '[[steps]]\ndo = "observe"\nlabel = "x"', "a date"),
    ],
)
def test_what_is_no_scenario_is_told_so(text: str, told: str) -> None:
    assert told in complaint(text)


def test_toml_errors_have_line_and_column() -> None:
    assert "at line 3, column" in complaint('name = "x"\n\nsummary = = 3\n')


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bom.toml"
    file.write_bytes(b"\xef\xbb\xbf" + scenario_text(FAR).encode())
    assert load(file).name == "test"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "this is a directory"),
        (lambda path: path.write_bytes(b"\x7fELF\xff\xfe\x00"), "not UTF-8"),
        (lambda path: path.write_bytes(b"a" * (1 << 21)), "larger than"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, make: object, told: str) -> None:
    file = tmp_path / "some.toml"
    assert callable(make)
    make(file)
    with pytest.raises(ScenarioError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["", "a\0b", "/dev/null", "/proc/self/mem", "\udcff"])
def test_odd_paths_are_refused_with_a_message(name: str) -> None:
    with pytest.raises(ScenarioError):
        load(name)
