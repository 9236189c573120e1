# SPDX-License-Identifier: GPL-2.0-only
"""apt, as this host has it or for one suite of Debian alone, with lists of its own in the user's cache.

apt for a suite leaves the host's configuration, its lists and what is installed alone. It takes the host's own mirror.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from thplab.backends.guest import find_program
from thplab.scenario.errors import InputError

__all__ = ["SUITES", "Apt", "cache_directory", "require", "run_tool"]

SUITES = ("trixie-backports", "trixie", "bookworm-backports", "bookworm", "forky", "sid")
"""Debian's suites that have kernels, those with the most of them first."""

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PACKAGES_OF_TOOLS = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "depmod": "kmod",
    "busybox": "busybox-static",  # in the initramfs that loads the modules for 9p
}


def cache_directory() -> Path:
    """Where thplab keeps what it downloads."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "thplab"


class Apt:
    """apt for one suite, or as this host has it.

    Args:
        suite: one of :data:`SUITES`; "": whatever the host's own sources have.

    Attributes:
        name: for a reader.
    """

    def __init__(self, suite: str = "") -> None:
        self.suite = suite
        self.name = suite or "this host's apt"
        self._directory = cache_directory() / "apt" / suite

    def fetched(self) -> bool:
        """Whether the lists of packages are here; those of the host may be empty."""
        return not self.suite or (self._directory / "fetched").exists()

    def fetch(self) -> None:
        """Fetch the suite's list of packages (up to 10M).

        Raises:
            InputError: apt cannot reach the suite, or knows no mirror or key of Debian.
        """
        if not self.suite:
            return
        if not _KEYRING.is_file():
            raise InputError(
                f"there is no {_KEYRING}; install Debian's package debian-archive-keyring"
            )
        source = f"deb [arch=amd64 signed-by={_KEYRING}] {_mirror()} {self.suite} main\n"
        with self._alone():
            for name in ("state", "lists/partial", "cache/archives/partial"):
                (self._directory / name).mkdir(parents=True, exist_ok=True)
            (self._directory / "sources.list").write_text(source, encoding="utf-8")
            (self._directory / "status").touch()
            # A source that cannot be reached is only a warning for apt; any error is one here.
            run_tool(
                ["apt-get", *self._options(), "-q", "-o", "APT::Update::Error-Mode=any", "update"]
            )
            (self._directory / "fetched").touch()

    def names(self, prefix: str) -> set[str]:
        """The packages whose names begin so, as far as the lists that are here tell."""
        if not self.fetched():
            return set()
        text = run_tool(["apt-cache", *self._options(), "pkgnames", prefix])
        return set(text.split())

    def download(self, packages: Sequence[str], directory: Path) -> None:
        """Download packages.

        Raises:
            InputError: a package is no longer there, or the mirror cannot be reached.
        """
        run_tool(["apt-get", *self._options(), "-q", "download", *packages], directory)

    def _options(self) -> list[str]:
        if not self.suite:
            return []
        here = self._directory
        settings = {
            "Dir::State": here / "state",
            "Dir::State::lists": here / "lists",
            "Dir::State::status": here / "status",
            "Dir::Cache": here / "cache",
            "Dir::Etc::sourcelist": here / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "APT::Sandbox::User": "root",  # apt's own user may not enter a user's cache
            "Acquire::Languages": "none",
            "Acquire::Retries": "1",
            "Acquire::http::Timeout": "20",
            "Acquire::https::Timeout": "20",
        }
        return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other thplab fetches the same lists."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / "lock").open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@functools.cache
def _mirror() -> str:
    """The mirror of Debian that this host's apt has."""
    text = run_tool(
        [
            *("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"),
            "Created-By: Packages",
        ]
    )
    pairs = [line.split() for line in text.splitlines()]
    named = [pair[-1] for pair in pairs if pair[0] == "Debian"]
    # Before the first `apt-get update` apt does not know the label.
    alike = [pair[-1] for pair in pairs if pair[-1].rstrip("/").endswith("/debian")]
    for uri in (*named, *alike):
        return uri
    raise InputError(
        "apt of this host has no mirror of Debian among its sources, so thplab does not know where "
        "Debian's kernels are; add one, or give the kernel as an image file"
    )


def require(*names: str) -> None:
    """Refuse at once, before anything is downloaded, if a tool is missing.

    Raises:
        InputError: it is.
    """
    for name in names:
        _path_of(name)


def _path_of(name: str) -> str:
    path = find_program(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise InputError(
            f"{name} is not installed; install Debian's package {_PACKAGES_OF_TOOLS[name]}, "
            "or give the kernel as an image file"
        )
    return path


def run_tool(command: Sequence[str], directory: Path | None = None) -> str:
    """Run a tool, and return what it printed.

    Raises:
        InputError: it is missing, or failed; the message has its last error.
    """
    try:
        done = subprocess.run(
            [_path_of(command[0]), *command[1:]],
            cwd=directory,
            env=os.environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        lines = [line for line in (error.stderr or "").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("E: ")] or lines
        raise InputError(f"{command[0]}: {errors[0].strip() if errors else error}") from error
    return done.stdout
