# SPDX-License-Identifier: GPL-2.0-only
"""Debian's own kernels: apt's tools download them, and thplab unpacks them into the user's cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from thplab.backends.guest import find_program
from thplab.scenario.errors import InputError

__all__ = ["fetch_debian_kernel", "newest_package"]

_RELEASE = re.compile(r"\d+\.\d+")
_TOOLS = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "depmod": "kmod",
    "busybox": "busybox-static",  # in the initramfs that loads the modules for 9p
}


def fetch_debian_kernel(release: str) -> Path:
    """The image of Debian's kernel of a release, with its modules unpacked beside it.

    Args:
        release: "6.12".

    Returns:
        boot/vmlinuz-... in a directory of the cache, which keeps it for the next time.

    Raises:
        InputError: apt knows no such package, or a tool is missing or failed.
    """
    if not _RELEASE.fullmatch(release):
        raise InputError(f"debian:{release}: a release has two numbers, as in debian:6.12")
    for name in _TOOLS:  # before anything is downloaded or booted
        _tool(name)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thplab" / "kernels"
    try:
        package = newest_package(
            _run(["apt-cache", "pkgnames", f"linux-image-{release}."]), release
        )
    except InputError:
        unpacked = sorted(cache.glob(f"linux-image-{release}.*/boot/vmlinuz-*"))
        if unpacked:  # apt is missing or its lists are empty: what the cache has will do
            return unpacked[-1]
        raise
    directory = cache / package
    if not directory.is_dir():
        _fetch(package, directory)
    return _image_in(directory)


def newest_package(names: str, release: str) -> str:
    """The newest package of the release that is the plain signed kernel.

    Args:
        names: package names, one a line.
        release: "6.12".

    Raises:
        InputError: there is none.
    """
    pattern = re.compile(rf"linux-image-{re.escape(release)}\.\d+(?:-\d+)?(?:\+deb\d+)?-amd64")
    found = [name for name in names.split() if pattern.fullmatch(name)]
    if not found:
        raise InputError(
            f"apt knows no package linux-image-{release}...-amd64; add the suite that has it "
            "(on Debian 12, bookworm-backports or -security) to apt's sources and run apt-get update"
        )
    return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def _fetch(package: str, directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="fetch-") as name:
        draft = Path(name)
        _run(["apt-get", "download", "-q", package], draft)
        archives = list(draft.glob("*.deb"))
        tree = draft / "tree"
        _run(["dpkg-deb", "--extract", str(archives[0]), str(tree)])
        releases = list((tree / "lib" / "modules").iterdir())
        _run(["depmod", "-a", "-b", str(tree), releases[0].name])
        _image_in(tree)
        try:
            tree.rename(directory)
        except OSError:  # another run unpacked it first
            if not directory.is_dir():
                raise


def _image_in(directory: Path) -> Path:
    images = sorted(directory.glob("boot/vmlinuz-*"))
    if not images:
        shutil.rmtree(directory, ignore_errors=True)
        raise InputError(f"there is no boot/vmlinuz in {directory.name}; it was removed, try again")
    return images[-1]


def _tool(name: str) -> str:
    path = find_program(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise InputError(
            f"{name} is not installed; install Debian's package {_TOOLS[name]}, "
            "or give the kernel as an image file"
        )
    return path


def _run(command: list[str], directory: Path | None = None) -> str:
    try:
        done = subprocess.run(
            [_tool(command[0]), *command[1:]],
            cwd=directory,
            capture_output=True,
            text=True,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:]
        raise InputError(f"{' '.join(command[:2])}: {''.join(last) or error}") from error
    return done.stdout
