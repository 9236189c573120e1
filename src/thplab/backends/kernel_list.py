# SPDX-License-Identifier: GPL-2.0-only
"""The kernels that `--kernel` can name here: images of a folder, those in the cache, and those that apt can get."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from thplab.backends.apt import SUITES, Apt
from thplab.backends.debian_kernel import cached_kernels, has_modules, known_kernels
from thplab.backends.kernel_image import linux_of
from thplab.backends.kernels_folder import kernels_in_folder
from thplab.scenario.errors import InputError

__all__ = ["KernelList", "ListedKernel", "fetch_lists", "list_kernels"]


class ListedKernel(msgspec.Struct, kw_only=True, frozen=True):
    """One kernel.

    Attributes:
        kernel: what `--kernel` takes.
        linux: its uname -r.
        state: "image": a file of the folder; "cached": unpacked in the cache; "apt": apt can download it.
        where: the file, or the list of packages that has it.
        over: how the guest sees this host's files, "9p" or "virtiofs"; "" before it is unpacked.
    """

    kernel: str
    linux: str
    state: Literal["image", "cached", "apt"]
    where: str
    over: str = ""


class KernelList(msgspec.Struct, kw_only=True, frozen=True):
    """All of them.

    Attributes:
        not_fetched: the suites of Debian whose lists are not here: what they have is unknown.
        problems: what could not be looked up, and why.
    """

    format: str = "thplab kernels"
    version: int = 1
    kernels: list[ListedKernel]
    not_fetched: list[str]
    problems: list[str]


def list_kernels() -> KernelList:
    """What is here, and what the lists of packages that are here know; nothing is downloaded."""
    problems = []
    kernels = [_image(path) for path in kernels_in_folder()]
    cached = {release: _cached(release, path) for release, path in cached_kernels().items()}
    try:
        known = known_kernels()
    except InputError as error:
        known = {}
        problems.append(str(error))
    for release in sorted(
        {*cached, *known}, key=lambda one: [int(part) for part in one.split(".")]
    ):
        here, there = cached.get(release), known.get(release)
        if here is not None:
            kernels.append(here)
        if there is not None and (here is None or here.linux != there[0]):
            kernels.append(
                ListedKernel(
                    kernel=f"debian:{release}",
                    linux=there[0],
                    state="apt",
                    where=there[1],
                )
            )
    missing = [suite for suite in SUITES if not Apt(suite).fetched()]
    return KernelList(kernels=kernels, not_fetched=missing, problems=problems)


def _image(path: Path) -> ListedKernel:
    return ListedKernel(kernel=str(path), linux=linux_of(path), state="image", where=str(path))


def _cached(release: str, path: Path) -> ListedKernel:
    return ListedKernel(
        kernel=f"debian:{release}",
        linux=linux_of(path),
        state="cached",
        where=str(path),
        over="9p" if has_modules(path) else "virtiofs",
    )


def fetch_lists() -> list[str]:
    """Fetch the lists of all suites; return what went wrong with those that apt cannot reach."""
    problems = []
    for suite in SUITES:
        try:
            Apt(suite).fetch()
        except InputError as error:
            problems.append(f"{suite}: {error}")
    return problems
