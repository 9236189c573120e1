# SPDX-License-Identifier: GPL-2.0-only
"""The mount option memory_recursiveprot: what the agent reads, and what it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.observe.fake_kernel import write
from thplab.agent import cgroup_mount
from thplab.agent.cgroup_mount import CgroupMount, find_cgroup_mount, set_recursiveprot

MOUNTS = """\
proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0
cgroup2 /elsewhere cgroup2 rw,relatime 0 0
"""
BASE = Path("/sys/fs/cgroup/thplab-1")
NOSUID_NODEV_NOEXEC_RELATIME = 0x2 | 0x4 | 0x8 | 0x200000
REMOUNT = 0x20


def test_the_mount_that_has_the_cgroup_is_found(tmp_path: Path) -> None:
    write(tmp_path, "mounts", MOUNTS)
    mount = find_cgroup_mount(BASE, tmp_path)
    assert mount is not None
    assert mount.directory == Path("/sys/fs/cgroup")
    assert mount.remounted(False) == (REMOUNT | NOSUID_NODEV_NOEXEC_RELATIME, "nsdelegate")
    elsewhere = find_cgroup_mount(Path("/elsewhere"), tmp_path)
    assert elsewhere is not None
    assert elsewhere.remounted(True) == (REMOUNT | 0x200000, "memory_recursiveprot")
    assert find_cgroup_mount(Path("/var"), tmp_path) is None


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, int, str]]:
    """What was remounted, on a machine whose cgroup2 has no options."""
    done: list[tuple[Path, int, str]] = []
    mount = CgroupMount(Path("/sys/fs/cgroup"), ("rw",))
    monkeypatch.setattr(cgroup_mount, "find_cgroup_mount", lambda base: mount)
    monkeypatch.setattr(cgroup_mount, "remount", lambda *arguments: done.append(arguments))
    return done


def test_a_guest_is_remounted(mounted: list[tuple[Path, int, str]]) -> None:
    assert set_recursiveprot(BASE, False, may_change=True) == ""
    assert mounted == []
    assert set_recursiveprot(BASE, True, may_change=True) == ""
    assert mounted == [(Path("/sys/fs/cgroup"), REMOUNT, "memory_recursiveprot")]


def test_a_host_is_left_as_it_is_and_the_run_says_so(
    mounted: list[tuple[Path, int, str]],
) -> None:
    note = set_recursiveprot(BASE, True, may_change=False)
    assert "mounted without memory_recursiveprot" in note
    assert "leaves a host as it is" in note
    assert mounted == []


def test_a_kernel_without_the_option_is_a_note(
    mounted: list[tuple[Path, int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(cgroup_mount, "remount", refuse)
    note = set_recursiveprot(BASE, True, may_change=True)
    assert "cannot be remounted: Invalid argument (5.7 brought the option)" in note


def test_without_any_cgroup2_the_option_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_mount, "find_cgroup_mount", lambda base: None)
    assert "is not mounted" in set_recursiveprot(BASE, True, may_change=True)
