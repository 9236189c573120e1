# SPDX-License-Identifier: GPL-2.0-only
"""What cannot be done is refused before anything is booted or changed, with the remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.backends.scenes import GIB, SHORT, victim_and_hog
from thplab.backends import guest, host, vm
from thplab.backends.debian_kernel import fetch_debian_kernel
from thplab.backends.errors import KernelRunError
from thplab.backends.kernel_image import find_kernel
from thplab.backends.kvm import try_kvm
from thplab.scenario.errors import InputError
from thplab.scenario.units import Size


@pytest.fixture
def no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH, and a Python's directory, that have nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    return tmp_path


def image_like(path: Path) -> Path:
    """A file with the boot header of a kernel image, and nothing behind it."""
    path.write_bytes(bytes(0x202) + b"HdrS" + bytes(4096))
    return path


def program(folder: Path, name: str, script: str) -> Path:
    """An executable shell script."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def test_without_qemu_the_remedy_is_its_package(no_programs: Path) -> None:
    kernel = image_like(no_programs / "bzImage")
    with pytest.raises(InputError, match=r"qemu-system-x86_64 is not installed.*qemu-system-x86"):
        vm.run(SHORT, str(kernel))


def test_without_vng_the_remedy_is_the_extra(no_programs: Path) -> None:
    kernel = image_like(no_programs / "bzImage")
    program(no_programs, "qemu-system-x86_64", "exit 1")
    with pytest.raises(InputError, match=r"vng is not installed.*thplab\[vm\]"):
        vm.run(SHORT, str(kernel))


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF" + bytes(4096)])
def test_a_file_that_is_no_kernel_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"vmlinux: it is no x86 kernel image"):
        find_kernel(str(path))


@pytest.mark.parametrize(
    ("place", "magic", "architecture"),
    [
        (0x38, b"ARM\x64", "arm64"),
        (0x38, b"RSC\x05", "RISC-V"),
        (0x202, b"HdrS\x0c\x02", "32-bit x86"),
    ],
)
def test_an_image_of_another_architecture_is_refused(
    place: int, magic: bytes, architecture: str, tmp_path: Path
) -> None:
    path = tmp_path / "Image"
    path.write_bytes(bytes(place) + magic + bytes(4096))
    with pytest.raises(InputError, match=rf"Image: it is a kernel for {architecture}; .* x86-64"):
        find_kernel(str(path))


def test_an_image_of_64_bits_says_so_in_its_header(tmp_path: Path) -> None:
    path = tmp_path / "bzImage"
    head = bytearray(8192)
    head[0x202:0x208] = b"HdrS\x0c\x02"
    head[0x236] = 1
    path.write_bytes(head)
    assert find_kernel(str(path)).name == "bzImage"


def test_an_image_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """Its boot header tells how long it is: here, 5 sectors and 100 times 16 bytes."""
    path = tmp_path / "bzImage"
    head = bytearray(0x210)
    head[0x1F1], head[0x1F4] = 4, 100
    head[0x202:0x206] = b"HdrS"
    path.write_bytes(head + bytes(5 * 512 + 1600 - len(head)))
    assert find_kernel(str(path)).name == "bzImage"
    path.write_bytes(head + bytes(5 * 512 + 1599 - len(head)))
    with pytest.raises(InputError, match=r"bzImage: it is cut off: 4159 bytes of at least 4160"):
        find_kernel(str(path))


def test_a_kernel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        find_kernel(str(tmp_path / "bzImage"))
    with pytest.raises(InputError, match="Is a directory"):
        find_kernel(str(tmp_path))


def test_more_memory_than_there_is_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = image_like(tmp_path / "bzImage")
    program(tmp_path, "qemu-system-x86_64", "exit 1")
    program(tmp_path, "vng", "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    huge = victim_and_hog("huge", 1, 1, nodes=(Size(1 << 50),))
    with pytest.raises(InputError, match=r"1073741824 MiB of memory.*use the model"):
        vm.run(huge, str(kernel))


def test_kvm_that_does_not_get_through_a_boot_is_not_used(tmp_path: Path) -> None:
    qemu = program(tmp_path, "qemu", "echo 'failed to set MSR 0x10a' >&2; exit 1")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm here to be tried")
    verdict = try_kvm(str(qemu), tmp_path / "kernel")
    assert not verdict.works
    assert verdict.reason == "failed to set MSR 0x10a"


def test_kvm_that_gets_through_a_boot_is_used(tmp_path: Path) -> None:
    qemu = program(tmp_path, "qemu", "echo 'Kernel panic - not syncing: VFS: no root'")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm here to be tried")
    assert try_kvm(str(qemu), tmp_path / "kernel").works


def test_a_kernel_that_cannot_mount_9p_is_told_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = image_like(tmp_path / "bzImage")
    program(tmp_path, "qemu-system-x86_64", "exit 1")
    panic = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
    program(tmp_path, "vng", f"echo '[ 1.0] {panic}'")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(KernelRunError, match=r"cannot mount this host's files.*CONFIG_9P_FS"):
        vm.run(SHORT, str(kernel))


def test_a_kernel_that_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an image with a good header and rubbish behind it: the processor spins."""
    kernel = image_like(tmp_path / "bzImage")
    program(tmp_path, "qemu-system-x86_64", "exit 1")
    program(tmp_path, "vng", "sleep 100")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr(guest, "_SILENCE_SECONDS", 0.5)
    with pytest.raises(KernelRunError, match="the kernel said nothing in its first"):
        vm.run(SHORT, str(kernel))


def test_without_apt_the_missing_tool_is_named(no_programs: Path) -> None:
    del no_programs
    with pytest.raises(InputError, match="is not installed; install Debian's package"):
        fetch_debian_kernel("6.12")


def test_the_host_is_refused_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(InputError, match="--on host needs root"):
        host.run_batch([SHORT], print)


def test_the_host_is_refused_without_cgroup_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "cgroup_mount", lambda: None)
    with pytest.raises(InputError, match="--on host needs cgroup v2 with the memory controller"):
        host.run_batch([SHORT], print)


def test_the_host_is_refused_when_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "cgroup_mount", lambda: tmp_path)
    huge = victim_and_hog("huge", 1, 1, nodes=(Size(1 << 50),))
    with pytest.raises(InputError, match="of free memory here"):
        host.run_batch([huge], print)
    assert list(tmp_path.iterdir()) == []


def test_a_hierarchy_without_the_memory_controller_does_not_do(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"cgroup2 {tmp_path} cgroup2 rw 0 0\n", encoding="ascii")
    (tmp_path / "cgroup.controllers").write_text("cpu io\n", encoding="ascii")
    assert host.cgroup_mount(tmp_path) is None
    (tmp_path / "cgroup.controllers").write_text("cpu io memory\n", encoding="ascii")
    assert host.cgroup_mount(tmp_path) == tmp_path


def test_what_the_host_backend_will_do_is_said_before() -> None:
    sentences = " ".join(host.describe([victim_and_hog("s", 1, 1, nodes=(GIB, GIB))]))
    assert "as root" in sentences
    assert "limited to 2G" in sentences
    assert "transparent_hugepage" in sentences
