# SPDX-License-Identifier: GPL-2.0-only
"""Limits, protection and the figures of a cgroup, from the scenario file to the observation."""

from __future__ import annotations

import pytest

from thplab.backends import model
from thplab.releases.named import release_named
from thplab.scenario.figures import FigurePath, Unseen, all_figures, read_figure
from thplab.scenario.library import library_dir
from thplab.scenario.loader import load, loads
from thplab.scenario.observation import Observation

HEAD = """
name = "limits"
summary = "a test"
host = { nodes = ["1G"], thp = { shrink_underused = false } }
[cgroups]
"/j" = {}
[tasks]
t = { cgroup = "/j" }
"""


def step(do: str, **keys: object) -> str:
    """A step in TOML."""
    values = "".join(f'{key} = "{value}"\n' for key, value in keys.items())
    return f'[[steps]]\ndo = "{do}"\n{values}'


HALVED = (
    step("map", task="t", region="a", size="64M")
    + step("touch", task="t", region="a")
    + step("discard", task="t", region="a", part="pages 48-511 of each huge page")
)


def seen(*steps: str, release: str = "7.3", head: str = HEAD) -> Observation:
    """The last observation of the model as a release."""
    scenario = loads(head + "".join(steps) + step("observe", label="end"))
    return model.run(scenario, release=release_named(release)).observations[-1]


def figure(observation: Observation, path: str) -> int | Unseen:
    """A figure by the path of a claim."""
    return read_figure(observation, FigurePath.parse(path))


def test_a_cgroup_has_its_figures() -> None:
    end = seen(HALVED)
    assert figure(end, "cgroups./j.current") == figure(end, "cgroups./j.peak") == 64 << 20
    assert figure(end, "cgroups./j.anon_thp") == 0
    assert figure(end, "cgroups./j.thp_fault_alloc") == 32
    assert figure(end, "cgroups./.thp_fault_alloc") == 32
    assert figure(end, "cgroups./j.events.high") == figure(end, "cgroups./*.events.max") == 0


def test_the_peak_stays_when_the_memory_goes() -> None:
    end = seen(HALVED, step("unmap", task="t", region="a"))
    assert figure(end, "cgroups./j.current") == 0
    assert figure(end, "cgroups./j.peak") == 64 << 20


def test_the_root_cgroup_has_neither_limit_nor_events() -> None:
    end = seen(HALVED)
    for name in ("current", "peak", "events.oom_kill"):
        unseen = figure(end, f"cgroups./.{name}")
        assert isinstance(unseen, Unseen)
        assert "root cgroup does not have it" in unseen.reason
    paths = {str(path) for path, _ in all_figures(end)}
    assert "cgroups./j.current" in paths
    assert "cgroups./.current" not in paths
    assert "cgroups./.anon_thp" in paths


@pytest.mark.parametrize(
    "path", ["cgroups./j[0].current", "cgroups./j[0].events.high", "cgroups./j.events.none"]
)
def test_a_figure_of_a_cgroup_that_there_is_not_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="there is no figure"):
        FigurePath.parse(path)


def test_a_name_with_dots_is_a_cgroup_of_systemd() -> None:
    path = FigurePath.parse("cgroups./system.slice/my.service.events.oom_kill")
    assert (path.subject, path.name) == ("/system.slice/my.service", "events.oom_kill")
    assert str(path) == "cgroups./system.slice/my.service.events.oom_kill"


def test_a_cgroup_that_went_away_has_no_figures() -> None:
    end = seen(step("exit", task="t"), step("rmdir", cgroup="/j"))
    unseen = figure(end, "cgroups./j.current")
    assert isinstance(unseen, Unseen)
    assert "did not exist" in unseen.reason


def test_a_release_has_only_the_figures_that_it_shows() -> None:
    """memory.peak came with 5.19, the count of group kills with 5.17."""
    old = seen(HALVED, release="5.4")
    for name, since in (("peak", "5.19"), ("events.oom_group_kill", "5.17")):
        unseen = figure(old, f"cgroups./j.{name}")
        assert isinstance(unseen, Unseen)
        assert unseen.reason == f"Linux 5.4 does not show this; {since} brought it"
    assert figure(old, "cgroups./j.current") == 64 << 20
    assert figure(seen(HALVED, release="6.1"), "cgroups./j.peak") == 64 << 20


def test_what_reclaim_did_not_do_is_no_figure() -> None:
    """After a step that the release lacks nothing is seen, and that of cgroups neither."""
    end = seen(HALVED, '[[steps]]\ndo = "reclaim"\nsize = "1M"\nnode = 0\n', release="6.12")
    unseen = figure(end, "cgroups./j.current")
    assert isinstance(unseen, Unseen)
    assert "6.17 brought it" in unseen.reason


def test_the_mount_option_is_the_hosts_and_came_with_5_7() -> None:
    scenario = load(library_dir() / "recursiveprot.toml")
    path = FigurePath.parse("regions.service.heap.huge")
    host = scenario.host
    for release, option, whole in (
        ("7.3", True, 32),
        ("7.3", False, 0),
        ("6.12", True, 32),
        ("5.4", True, 0),
    ):
        text = (library_dir() / "recursiveprot.toml").read_text()
        if option != host.recursiveprot:
            text = text.replace("[host]\n", "[host]\nrecursiveprot = false\n")
        end = model.run(loads(text), release=release_named(release)).observations[-1]
        assert read_figure(end, path) == whole


def test_a_sysctl_is_a_setting_of_the_host_or_a_step() -> None:
    text = (library_dir() / "node-reclaim.toml").read_text()
    for ratio, split in ((0, 8), (1, 0)):
        with_host = text.replace("[host]\n", f"[host]\nvm = {{ min_slab_ratio = {ratio} }}\n")
        first = model.run(loads(with_host)).observations[1]
        assert first.vmstat["thp_split_page"] == split


def test_a_ratio_is_a_percentage() -> None:
    bad = step("set", file="vm.min_slab_ratio", value="101")
    with pytest.raises(Exception, match=r"vm\.min_slab_ratio cannot be .*a number from 0 to 100"):
        seen(bad)
    with pytest.raises(Exception, match="there is no file"):
        seen(step("set", file="min_slab_ratio", value="1"))
