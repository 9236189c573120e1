# SPDX-License-Identifier: GPL-2.0-only
"""The scenario's cgroups as directories of a version 2 hierarchy."""

from __future__ import annotations

import errno
import time
from pathlib import Path

from thplab.mm.geometry import PAGE_SIZE
from thplab.scenario.errors import InputError
from thplab.scenario.tunables import CgroupSettings

__all__ = ["Hierarchy", "remove_tree"]

_PATIENCE_SECONDS = 10.0
_TASKS_OF_THE_BASE = "tasks-of-the-root"


class Hierarchy:
    """Makes, fills and removes a scenario's cgroups.

    Attributes:
        has_memory: whether there is a memory controller; with cgroup_disable=memory there is none.

    Args:
        base: the cgroup that stands for the scenario's "/": the real root in a guest, one of the
            agent's own on a host. The caller sets the limit of `base`, if it has one.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        controllers = (base / "cgroup.controllers").read_text(encoding="ascii").split()
        self.has_memory = "memory" in controllers
        self._made: list[Path] = []

    @property
    def is_root(self) -> bool:
        """Whether the base is the real root, so that the whole machine is the scenario's."""
        return not (self.base / "cgroup.type").exists()

    def directory(self, path: str) -> Path:
        """The directory of a scenario's cgroup path."""
        return self.base / path.strip("/")

    def inode(self, path: str) -> int:
        """The cgroup's inode number, by which the kernel's shrinker files name it."""
        return self.directory(path).stat().st_ino

    def exists(self, path: str) -> bool:
        """Whether the cgroup still exists."""
        return self.directory(path).is_dir()

    def charged(self, path: str) -> int:
        """The base pages that a cgroup is charged for (memory.current); 0 if the kernel does not say."""
        try:
            current = (self.directory(path) / "memory.current").read_text(encoding="ascii")
        except FileNotFoundError:
            return 0
        return int(current) // PAGE_SIZE

    def make(self, cgroups: dict[str, CgroupSettings]) -> None:
        """Make all cgroups, ancestors first, and set their limits.

        Raises:
            InputError: the kernel refused; the message names the cgroup.
        """
        for path in sorted(cgroups, key=lambda name: name.count("/")):
            if path != "/":
                self._make_one(self.directory(path))
            self._limit(path, cgroups[path])

    def _make_one(self, directory: Path) -> None:
        parent = directory.parent
        if not parent.is_dir():
            self._make_one(parent)
        if directory.is_dir():
            return
        try:
            control = parent / "cgroup.subtree_control"
            if self.has_memory and "memory" not in control.read_text(encoding="ascii").split():
                control.write_text("+memory", encoding="ascii")
            directory.mkdir()
        except OSError as error:
            raise InputError(
                f"the kernel refuses the cgroup {directory}: {error.strerror}"
            ) from error
        self._made.append(directory)

    def _limit(self, path: str, settings: CgroupSettings) -> None:
        for row, value in settings.chosen():
            self.write(path, row.file, row.text(value))

    def write(self, path: str, file: str, value: str) -> None:
        """Write one of the cgroup's files.

        Raises:
            OSError: the kernel refuses.
        """
        (self.directory(path) / file).write_text(value, encoding="ascii")

    def attach(self, path: str, pid: int) -> None:
        """Move a process into a cgroup.

        On a host, where the base is no real root and may hold no process beside its child cgroups,
        the tasks of "/" go into a child of their own.

        Raises:
            OSError: the kernel refused; EBUSY: a cgroup that has children may hold no process.
        """
        directory = self.directory(path)
        if directory == self.base and not self.is_root:
            directory = self.base / _TASKS_OF_THE_BASE
            self._make_one(directory)
        elif directory != self.base and not any(child.is_dir() for child in directory.iterdir()):
            # A cgroup that gives controllers to its children may hold no process, even when they are gone.
            self._give_up_controllers(directory)
        (directory / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def _give_up_controllers(self, directory: Path) -> None:
        control = directory / "cgroup.subtree_control"
        given = control.read_text(encoding="ascii").split()
        if given:
            control.write_text(" ".join(f"-{name}" for name in given), encoding="ascii")

    def rmdir(self, path: str) -> None:
        """Remove a cgroup, which goes offline. Waits for tasks that are about to end.

        Raises:
            OSError: EBUSY: it has a task or a child.
        """
        directory = self.directory(path)
        _remove(directory, wait_for_tasks=False)
        self._made.remove(directory)

    def remove_all(self) -> None:
        """Kill the tasks left in the cgroups that make() made, and remove the cgroups."""
        for directory in reversed(self._made):
            if directory.is_dir():
                _kill_all(directory)
                _remove(directory)
        self._made.clear()


def _kill_all(directory: Path) -> None:
    kill = directory / "cgroup.kill"
    if kill.exists():
        kill.write_text("1", encoding="ascii")


def _remove(directory: Path, *, wait_for_tasks: bool = True) -> None:
    """rmdir(2), repeated while tasks exit, because `populated` falls only after a task has ended."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            directory.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > give_up:
                raise
            tasks = (directory / "cgroup.procs").read_text(encoding="ascii").strip()
            events = (directory / "cgroup.events").read_text(encoding="ascii")
            if "populated 0" in events or (tasks and not wait_for_tasks):
                raise
            time.sleep(0.01)
        else:
            return


def remove_tree(directory: Path) -> None:
    """Kill everything in a cgroup and its descendants, and remove them all."""
    if not directory.is_dir():
        return
    _kill_all(directory)
    children = [path for path in directory.rglob("*") if path.is_dir()]
    for child in sorted(children, key=lambda path: len(path.parts), reverse=True):
        _remove(child)
    _remove(directory)
