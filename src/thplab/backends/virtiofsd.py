# SPDX-License-Identifier: GPL-2.0-only
"""The daemon that shows a guest this host's files over virtiofs, which some kernels have built in, unlike 9p.

It takes the one in Rust; QEMU's own older one does not do. Debian has it since trixie. Where this host lacks it,
thplab unpacks that package into the cache, with the libraries that it needs.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from thplab.backends.apt import Apt, cache_directory, run_tool
from thplab.backends.guest import find_program
from thplab.scenario.errors import InputError

__all__ = ["fetch_virtiofsd", "find_virtiofsd"]

_PLACES = ("/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd")
_SUITE = "trixie"
_PACKAGES = ("virtiofsd", "libc6", "libcap-ng0", "libgcc-s1", "libseccomp2")
_START = """#!/bin/sh
tree={tree}
exec "$tree/usr/lib64/ld-linux-x86-64.so.2" --library-path "$tree/usr/lib/x86_64-linux-gnu" \\
	"$tree/usr/libexec/virtiofsd" "$@"
"""


def find_virtiofsd() -> Path | None:
    """The virtiofsd in Rust that this host or the cache has."""
    for place in (find_program("virtiofsd"), *_PLACES, _cached()):
        if place is not None and Path(place).is_file() and _is_rust(str(place)):
            return Path(place)
    return None


def fetch_virtiofsd() -> Path:
    """The virtiofsd of this host or the cache, or Debian's, which apt downloads.

    Raises:
        InputError: apt cannot get it, or it does not run here.
    """
    found = find_virtiofsd()
    if found is not None:
        return found
    apt = Apt(_SUITE)
    try:
        if not apt.fetched():
            apt.fetch()
        _unpack(apt, _cached().parent)
    except InputError as error:
        raise InputError(
            f"it takes the virtiofsd in Rust (Debian's package virtiofsd of {_SUITE}), and thplab cannot get it: "
            f"{error}"
        ) from error
    if not _is_rust(str(_cached())):
        raise InputError(
            f"it takes the virtiofsd in Rust, and {_cached()} does not run on this host"
        )
    return _cached()


def _cached() -> Path:
    return cache_directory() / "virtiofsd" / "virtiofsd"


def _is_rust(path: str) -> bool:
    """Whether it is the one in Rust; QEMU's says "virtiofsd version", and the name of its author."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "QEMU" not in done.stdout


def _unpack(apt: Apt, directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="fetch-") as name:
        draft = Path(name) / "virtiofsd"
        draft.mkdir()
        apt.download(_PACKAGES, Path(name))
        for archive in Path(name).glob("*.deb"):
            run_tool(["dpkg-deb", "--extract", str(archive), str(draft / "tree")])
        start = draft / "virtiofsd"
        start.write_text(_START.format(tree=directory / "tree"), encoding="utf-8")
        start.chmod(0o755)
        shutil.rmtree(directory, ignore_errors=True)
        draft.rename(directory)
