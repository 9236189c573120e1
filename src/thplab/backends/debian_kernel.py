# SPDX-License-Identifier: GPL-2.0-only
"""Debian's own kernels: apt's tools download them, and thplab unpacks them into the user's cache.

Up to 6.18 the package linux-image has everything. Since 6.19 linux-binary has the image and linux-modules
the modules; linux-image is empty.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from thplab.backends.apt import SUITES, Apt, cache_directory, require, run_tool
from thplab.scenario.errors import InputError

__all__ = [
    "cached_kernels",
    "fetch_debian_kernel",
    "has_modules",
    "known_kernels",
    "newest_kernel",
    "require_debian",
]

_RELEASE = re.compile(r"\d+\.\d+")
_PACKAGE = re.compile(r"linux-(?:image|binary)-((\d+\.\d+)\.\d+(?:-\d+)?(?:\+deb\d+)?-amd64)")
"""The plain signed kernel: no cloud, no real time."""
_UNPACKED = "linux-image-"
_IMAGES = ("boot/vmlinuz-*", "lib/modules/*/vmlinuz")


def fetch_debian_kernel(release: str) -> Path:
    """The image of Debian's kernel of a release, with its modules, if there are any, in the same tree.

    Suites whose lists are here come first. If none of them has the release, and neither has the cache, apt
    fetches the lists of the others.

    Args:
        release: "6.12".

    Returns:
        The image in a directory of the cache, which keeps it for the next time.

    Raises:
        InputError: apt knows no such package or cannot get it, or a tool is missing or failed.
    """
    if not _RELEASE.fullmatch(release):
        raise InputError(f"debian:{release}: a release has two numbers, as in debian:6.12")
    require_debian()
    cached = cached_kernels().get(release)
    problems: dict[str, str] = {}
    for apt in _sources(fetch=cached is None, problems=problems):
        names = apt.names("linux-")
        kernel = newest_kernel(names, release)
        if kernel is None:
            continue
        directory = _cache() / f"{_UNPACKED}{kernel}"
        if not directory.is_dir():
            try:
                _unpack(apt, _packages(kernel, names), directory)
            except InputError as error:
                problems[apt.name] = str(error)
                continue
        return _image_in(directory)
    if cached is not None:  # what the cache has will do
        return cached
    looked = [name for name in ("this host's apt", *SUITES) if name not in problems]
    told = f"no kernel of that release in {', '.join(looked)}" if looked else ""
    if problems:
        failed = f"apt could not get it or its list from {', '.join(problems)}"
        first = next(iter(problems.values()))
        told = "; ".join(text for text in (told, f"{failed}: {first}") if text)
    raise InputError(f"debian:{release}: {told}; `thplab kernels` lists those that there are")


def require_debian() -> None:
    """Refuse if this host lacks a tool for Debian's kernels.

    Raises:
        InputError: it does; the message names the package.
    """
    require("apt-cache", "apt-get", "dpkg-deb", "depmod", "busybox")


def _sources(*, fetch: bool, problems: dict[str, str]) -> Iterator[Apt]:
    """The host's apt, then each suite; those whose lists are missing last, if they may be fetched."""
    suites = [Apt(suite) for suite in SUITES]
    yield Apt()
    missing = [apt for apt in suites if not apt.fetched()]
    yield from (apt for apt in suites if apt.fetched())
    for apt in missing if fetch else ():
        try:
            apt.fetch()
        except InputError as error:
            problems[apt.name] = str(error)
        else:
            yield apt


def newest_kernel(names: Iterable[str], release: str) -> str | None:
    """The newest kernel of a release, "6.12.117+deb12-amd64", among names of packages; None: there is none."""
    found = {
        match[1] for name in names if (match := _PACKAGE.fullmatch(name)) and match[2] == release
    }
    return max(found, key=_numbers, default=None)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _packages(kernel: str, names: Iterable[str]) -> list[str]:
    """The packages that a kernel consists of, as far as they are still there."""
    parts = [f"linux-{part}-{kernel}" for part in ("binary", "modules")]
    there = [name for name in parts if name in names]
    return there if parts[0] in there else [f"linux-image-{kernel}"]


def known_kernels() -> dict[str, tuple[str, str]]:
    """For each release that a list here has, the kernel that would be downloaded, and the name of the list."""
    found: dict[str, tuple[str, str]] = {}
    for apt in _sources(fetch=False, problems={}):
        names = apt.names("linux-")
        for release in {match[2] for name in names if (match := _PACKAGE.fullmatch(name))}:
            kernel = newest_kernel(names, release)
            if kernel is not None:
                found.setdefault(release, (kernel, apt.name))
    return found


def cached_kernels() -> dict[str, Path]:
    """The newest image in the cache of each release."""
    found: dict[str, Path] = {}
    trees = _cache().glob(f"{_UNPACKED}*")
    for tree in sorted(trees, key=lambda tree: _numbers(tree.name)):
        match = _PACKAGE.fullmatch(tree.name)
        images = _images(tree)
        if match and images:
            found[match[2]] = images[0]
    return found


def has_modules(image: Path) -> bool:
    """Whether an image in the cache has its modules beside it: without them it cannot mount 9p."""
    tree = next((parent for parent in image.parents if parent.name.startswith(_UNPACKED)), None)
    return tree is None or any(tree.glob("lib/modules/*/kernel"))


def _cache() -> Path:
    return cache_directory() / "kernels"


def _unpack(apt: Apt, packages: list[str], directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="fetch-") as name:
        draft = Path(name)
        apt.download(packages, draft)
        tree = draft / "tree"
        for archive in draft.glob("*.deb"):
            run_tool(["dpkg-deb", "--extract", str(archive), str(tree)])
        _join_module_folders(tree)
        for release in (tree / "lib" / "modules").glob("*/kernel"):
            run_tool(["depmod", "-a", "-b", str(tree), release.parent.name])
        _image_in(tree)
        try:
            tree.rename(directory)
        except OSError:  # another run unpacked it first
            if not directory.is_dir():
                raise


def _join_module_folders(tree: Path) -> None:
    """Have both lib/modules and usr/lib/modules: packages have one, and tools look for either."""
    old, new = tree / "lib" / "modules", tree / "usr" / "lib" / "modules"
    for there, missing in ((old, new), (new, old)):
        if there.is_dir() and not missing.exists():
            missing.parent.mkdir(parents=True, exist_ok=True)
            missing.symlink_to(os.path.relpath(there, missing.parent))


def _image_in(tree: Path) -> Path:
    images = _images(tree)
    if not images:
        raise InputError(
            f"there is neither {' nor '.join(_IMAGES)} in {tree}; remove it, and try again"
        )
    return images[0]


def _images(tree: Path) -> list[Path]:
    return sorted(path for pattern in _IMAGES for path in tree.glob(pattern))
