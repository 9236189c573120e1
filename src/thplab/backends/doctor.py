# SPDX-License-Identifier: GPL-2.0-only
"""What thplab needs, whether this machine has it, and how to get it: a line for each thing."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from thplab.backends.debian_kernel import cached_kernels, require_debian
from thplab.backends.guest import find_program
from thplab.backends.host import cgroup_mount
from thplab.backends.kernels_folder import kernels_folder, kernels_in_folder
from thplab.backends.kvm import try_kvm
from thplab.backends.virtiofsd import find_virtiofsd
from thplab.observe.mthp import THP_DIRECTORY
from thplab.observe.node_meminfo import online_nodes
from thplab.observe.shrinker_debugfs import find_deferred_split_shrinker, why_no_shrinker_debugfs
from thplab.scenario.errors import InputError

__all__ = ["Finding", "examine"]

_QEMU = "qemu-system-x86_64"
_SYS = Path("/sys")


class Finding(NamedTuple):
    """One thing that thplab can use.

    Attributes:
        thing: what.
        use: what needs it: "model", "--kernel", or "--on host".
        state: "good", "missing", or "slower": thplab works without it, but slower or with fewer figures.
        found: what this machine has.
        remedy: how to get it; "" if the state is good.
    """

    thing: str
    use: str
    state: Literal["good", "missing", "slower"]
    found: str
    remedy: str = ""


def examine() -> Iterator[Finding]:
    """Examine each thing in turn; the trial of KVM takes some seconds."""
    checks: tuple[Callable[[], Finding], ...] = (
        _python_build,
        _qemu,
        _vng,
        _file,
        _virtiofsd,
        _kernels,
        _debian,
        _kvm,
        _root,
        _cgroups,
        _debugfs,
        _shrinker_debug,
        _nodes,
        _thp,
    )
    for check in checks:
        yield check()


def _python_build() -> Finding:
    from thplab.mm import list_lru

    version = f"Python {platform.python_version()}"
    if str(list_lru.__file__).endswith(".so"):
        return Finding("compiled model", "model", "good", f"compiled, {version}")
    remedy = "install a C compiler and the Python headers, then pip install . again"
    return Finding("compiled model", "model", "slower", f"interpreted, {version}", remedy)


def _qemu() -> Finding:
    path = find_program(_QEMU)
    if path is None:
        return Finding(
            "QEMU", "--kernel", "missing", "no qemu-system-x86_64", "apt install qemu-system-x86"
        )
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return Finding("QEMU", "--kernel", "good", text.partition("\n")[0] or path)


def _vng() -> Finding:
    path = find_program("vng")
    if path is None:
        return Finding("vng", "--kernel", "missing", "no vng", "pip install 'thplab[vm]'")
    return Finding("vng", "--kernel", "good", path)


def _file() -> Finding:
    """Vng needs `file` or `strings` to read the release of an image."""
    path = find_program("file") or find_program("strings")
    if path is None:
        return Finding(
            "file", "--kernel", "missing", "neither file nor strings", "apt install file"
        )
    return Finding("file", "--kernel", "good", path)


def _virtiofsd() -> Finding:
    path = find_virtiofsd()
    if path is None:
        found = "not here; only kernels without 9p take it, and then thplab fetches Debian's"
        return Finding("virtiofsd", "--kernel", "good", found)
    return Finding("virtiofsd", "--kernel", "good", f"{path}, for kernels without 9p")


def _kernels() -> Finding:
    images = kernels_in_folder()
    if images:
        names = ", ".join(image.name for image in images)
        return Finding("kernels", "--kernel", "good", f"{kernels_folder()}: {names}")
    remedy = "give --kernel an image or debian:6.12; set THPLAB_KERNELS to a folder for the tests"
    return Finding("kernels", "--kernel", "missing", f"none in {kernels_folder()}", remedy)


def _debian() -> Finding:
    """What debian:X.Y takes: apt, its tools, and Debian's keys."""
    try:
        require_debian()
    except InputError as error:
        found, _, remedy = str(error).partition("; ")
        return Finding("Debian's kernels", "--kernel", "missing", found, remedy)
    releases = ", ".join(cached_kernels()) or "none"
    return Finding("Debian's kernels", "--kernel", "good", f"apt is here; in the cache: {releases}")


def _kvm() -> Finding:
    qemu = find_program(_QEMU)
    images = kernels_in_folder() or sorted(Path("/boot").glob("vmlinuz-*"))
    remedy = "use a machine with virtualisation; without it QEMU emulates guests, 10 s a boot"
    if not Path("/dev/kvm").exists():
        return Finding("KVM", "--kernel", "slower", "no /dev/kvm", remedy)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        remedy = "join the group kvm (as root: adduser USER kvm), and log in again"
        return Finding("KVM", "--kernel", "slower", "this user may not open /dev/kvm", remedy)
    if qemu is None or not images:
        return Finding(
            "KVM", "--kernel", "slower", "/dev/kvm exists; not tried: no kernel to boot", remedy
        )
    verdict = try_kvm(qemu, images[0])
    if verdict.works:
        return Finding("KVM", "--kernel", "good", f"it booted {images[0].name}")
    return Finding("KVM", "--kernel", "slower", f"tried, failed: {verdict.reason}", remedy)


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", "--on host", "good", "yes")
    return Finding("root", "--on host", "missing", "no", "run `thplab ... --on host` as root")


def _cgroups() -> Finding:
    mount = cgroup_mount()
    if mount is not None:
        return Finding("cgroup v2", "--on host", "good", f"{mount}, with memory")
    remedy = "boot with systemd.unified_cgroup_hierarchy=1 (and without cgroup_disable=memory)"
    return Finding("cgroup v2", "--on host", "missing", "no memory controller in it", remedy)


def _debugfs() -> Finding:
    directory = _SYS / "kernel/debug"
    try:
        mounted = any(directory.iterdir())
    except OSError as error:
        remedy = "run as root"
        return Finding("debugfs", "--on host", "slower", f"{directory}: {error.strerror}", remedy)
    if mounted:
        return Finding("debugfs", "--on host", "good", str(directory))
    remedy = "mount -t debugfs debugfs /sys/kernel/debug"
    return Finding("debugfs", "--on host", "slower", "not mounted", remedy)


def _shrinker_debug() -> Finding:
    try:
        shrinker = find_deferred_split_shrinker()
        reason = "" if shrinker else why_no_shrinker_debugfs()
    except OSError as error:
        shrinker, reason = None, str(error)
    if shrinker is not None:
        return Finding("SHRINKER_DEBUG", "--on host", "good", str(shrinker.directory))
    remedy = "boot a kernel with CONFIG_SHRINKER_DEBUG=y; without it there are no queue lengths and no shrink"
    return Finding("SHRINKER_DEBUG", "--on host", "slower", reason, remedy)


def _nodes() -> Finding:
    count = len(online_nodes())
    if count > 1:
        return Finding("NUMA nodes", "--on host", "good", str(count))
    remedy = "boot with numa=fake=2, or use --kernel: a guest has as many as its scenario"
    return Finding("NUMA nodes", "--on host", "slower", str(count), remedy)


def _thp() -> Finding:
    path = _SYS / THP_DIRECTORY / "enabled"
    try:
        return Finding("huge pages", "--on host", "good", path.read_text(encoding="ascii").strip())
    except OSError:
        remedy = "boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE=y"
        return Finding("huge pages", "--on host", "missing", f"no {path}", remedy)
