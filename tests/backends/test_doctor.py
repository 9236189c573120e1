# SPDX-License-Identifier: GPL-2.0-only
"""The doctor names each thing that is needed, its state, and the remedy where it is not good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thplab.backends import doctor
from thplab.backends.doctor import Finding, examine
from thplab.backends.kvm import KvmVerdict, try_kvm


def findings() -> dict[str, Finding]:
    """By thing."""
    return {finding.thing: finding for finding in examine()}


@pytest.fixture
def no_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of kernels that has none, so that nothing is booted."""
    monkeypatch.setenv("THPLAB_KERNELS", str(tmp_path))


@pytest.mark.usefixtures("no_kernels")
def test_every_thing_has_a_line_and_what_is_not_good_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "try_kvm", lambda _qemu, _kernel: KvmVerdict(False, "it failed"))
    found = findings()
    wanted = {
        *("compiled model", "QEMU", "vng", "file", "virtiofsd", "kernels", "KVM", "root"),
        *("Debian's kernels", "cgroup v2", "debugfs", "SHRINKER_DEBUG", "NUMA nodes", "huge pages"),
    }
    assert set(found) == wanted
    for finding in found.values():
        assert finding.found
        assert bool(finding.remedy) == (finding.state != "good"), finding


@pytest.mark.usefixtures("no_kernels")
def test_what_is_missing_is_said_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    found = findings()
    assert found["QEMU"].state == found["vng"].state == found["file"].state == "missing"
    assert "qemu-system-x86" in found["QEMU"].remedy
    assert "thplab[vm]" in found["vng"].remedy
    assert found["kernels"].state == "missing"
    assert found["Debian's kernels"].found == "apt-cache is not installed"
    assert "package apt" in found["Debian's kernels"].remedy


def test_kvm_is_tried_with_a_kernel_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm here to be tried")
    (tmp_path / "bzImage-any").touch()
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text("#!/bin/sh\necho no entry >&2; exit 1\n", encoding="ascii")
    qemu.chmod(0o755)
    monkeypatch.setenv("THPLAB_KERNELS", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert findings()["KVM"].found == "tried, failed: no entry"
    qemu.write_text("#!/bin/sh\necho 'Kernel panic - not syncing: VFS'\n", encoding="ascii")
    try_kvm.cache_clear()
    assert findings()["KVM"] == Finding("KVM", "--kernel", "good", "it booted bzImage-any")
