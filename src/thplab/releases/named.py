# SPDX-License-Identifier: GPL-2.0-only
"""The releases that thplab knows by name, and the design that belongs to each."""

from __future__ import annotations

import msgspec

from thplab import designs
from thplab.errors import InputError
from thplab.kernel_version import version_of
from thplab.releases.release import Release

__all__ = [
    "NAMES",
    "NEWEST",
    "as_release",
    "check_design",
    "release_named",
]

NAMES = ("5.4", "6.1", "6.12", "6.18", "7.1", "7.2", "7.3")
NEWEST = NAMES[-1]


def release_named(name: str) -> Release:
    """A release by its name.

    Raises:
        InputError: thplab knows no release of this name.
    """
    if name not in NAMES:
        raise InputError(f"the release {name!r} is not known; there are {', '.join(NAMES)}")
    return Release.of_version(name, designs.of_version(version_of(name)))


def as_release(release: str | Release = "", design: designs.Design = "") -> Release:
    """The release that the model stands for, with the design that it has then.

    Args:
        release: "" is the newest one, which may have any design.
        design: in place of the release's own.

    Raises:
        InputError: there is no such release, or it cannot have the design.
    """
    found = release_named(release or NEWEST) if isinstance(release, str) else release
    if not design:
        return found
    if release:
        check_design(found, design)
    return msgspec.structs.replace(found, design=designs.title(design))


def check_design(release: Release, design: designs.Design) -> None:
    """Refuse a design that ships but that this release never had.

    Raises:
        InputError: the message names the releases that have the design.
    """
    if not designs.ships(design):
        return
    kind = designs.load(design)
    if kind.since and not version_of(kind.since) <= release.version <= version_of(
        kind.until or "999.0"
    ):
        raise InputError(
            f"Linux {release.name} cannot have the design {design}: it is that of {kind.releases()}; "
            "leave out --release or --design, or choose others"
        )
