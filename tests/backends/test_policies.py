# SPDX-License-Identifier: GPL-2.0-only
"""Policies of a scenario, from the file to the model of a release."""

from __future__ import annotations

from thplab.backends import model
from thplab.releases.named import release_named
from thplab.scenario.figures import FigurePath, why_unseen
from thplab.scenario.loader import loads
from thplab.scenario.observation import Observation, Run

HEAD = """
name = "policies"
summary = "A test."
[host]
nodes = ["256M", "256M", "256M"]
weighted_interleave = [3, 1, 2]
[tasks]
plain = {}
bound = { policy = { mode = "bind", nodes = [2] } }
"""
TASK = 'many = { policy = { mode = "preferred_many", nodes = [1, 2] } }\n'


def mapped(task: str, policy: str, size: str = "12M") -> str:
    """A region "r" under a policy, touched."""
    return f"""
[[steps]]
do = "map"
task = "{task}"
region = "r"
size = "{size}"
policy = {{ {policy} }}
[[steps]]
do = "touch"
task = "{task}"
region = "r"
"""


def run(*parts: str, release: str = "7.3") -> Run:
    """The run of a scenario that observes at its end."""
    text = HEAD + "".join(parts) + '[[steps]]\ndo = "observe"\nlabel = "end"\n'
    return model.run(loads(text), release=release_named(release))


def huge(end: Observation, region: str) -> list[int | None]:
    """The region's huge pages on each node."""
    return [node.huge for node in end.regions[region].nodes]


def test_weights_of_the_host_count_for_weighted_interleaving_alone() -> None:
    for mode, expected in (("weighted_interleave", [3, 1, 2]), ("interleave", [2, 2, 2])):
        (end,) = run(mapped("plain", f'mode = "{mode}", nodes = [0, 1, 2]')).observations
        assert huge(end, "plain.r") == expected


def test_a_region_that_is_local_is_so_whatever_its_task_has() -> None:
    """mbind(2) with MPOL_LOCAL gives the region a policy, and does not take it away."""
    (end,) = run(mapped("bound", 'mode = "local"')).observations
    assert huge(end, "bound.r") == [6, 0, 0]


def test_a_release_that_lacks_a_mode_maps_the_region_and_shows_nothing_after_that() -> None:
    steps = mapped("plain", 'mode = "weighted_interleave", nodes = [0, 1]')
    old = run(steps, release="6.1")
    (outcome,) = old.outcomes
    assert not outcome.done
    lack = "Linux 6.1 lacks the policy weighted_interleave; 6.9 brought it"
    assert outcome.text == f"not done: {lack}"
    path = FigurePath.parse("regions.plain.r.huge")
    assert why_unseen(old.observations[0], path) == f"an earlier step was not done: {lack}"
    assert run(steps, release="6.12").outcomes == []


def test_a_task_that_cannot_have_its_policy_shows_nothing_either() -> None:
    steps = (TASK, mapped("plain", 'mode = "local"'))
    (end,) = run(*steps, release="5.4").observations
    path = FigurePath.parse("regions.plain.r.huge")
    assert why_unseen(end, path) == (
        "task many did not get its policy: Linux 5.4 lacks the policy preferred_many; 5.15 brought it"
    )
    (end,) = run(*steps, release="6.1").observations
    assert huge(end, "plain.r") == [6, 0, 0]


def test_move_pages_ends_where_the_node_has_no_room() -> None:
    """The huge pages are split, and their pages move; what comes after the last base page that fits stays."""
    text = HEAD.replace("256M", "512M").replace("weighted", "#")
    move = """
[[steps]]
do = "move_pages"
task = "plain"
region = "r"
node = 1
"""
    filled = mapped("bound", 'mode = "bind", nodes = [1]', "400M")
    parts = (filled, mapped("plain", 'mode = "local"', "200M"), move)
    scenario = text + "".join(parts) + '[[steps]]\ndo = "observe"\nlabel = "end"\n'
    for thp, told in (
        ("default", []),
        ("nohugepage", ["refused: ENOMEM (Cannot allocate memory)"]),
    ):
        chosen = scenario.replace('policy = { mode = "local" }', f'thp = "{thp}"')
        found = model.run(loads(chosen))
        assert [outcome.text for outcome in found.outcomes] == told
        end = found.observations[0]
        assert end.vmstat["oom_kill"] == 0
        assert end.vmstat["thp_migration_split"] == (0 if told else end.vmstat["thp_split_page"])
        assert (end.vmstat["thp_split_page"] or 0) > 0 or told
