# SPDX-License-Identifier: GPL-2.0-only
"""Sets kernel tunables for a scenario, and restores their old values.

It also writes the old values to a journal before each change, so that thplab can restore them even
after the agent was killed.
"""

from __future__ import annotations

import contextlib
import errno
import re
from pathlib import Path

import msgspec

from thplab.scenario.tunables import VM, Tunable

__all__ = ["THP", "Tunables", "path_of", "restore_from_journal"]

THP = Path("/sys/kernel/mm/transparent_hugepage")
SYSCTLS = Path("/proc/sys")
_CHOSEN = re.compile(r"\[(.+?)\]")


def path_of(row: Tunable) -> Path:
    """The file of a row of thplab.scenario.tunables that belongs to the host."""
    if row.file.startswith(VM):
        return SYSCTLS / row.file.replace(".", "/")
    return THP / row.file


def _read(path: Path) -> str:
    """The value of a tunable: the word in brackets if the file lists all words."""
    text = path.read_text(encoding="ascii").strip()
    chosen = _CHOSEN.search(text)
    return chosen[1] if chosen else text


def _restore(path: Path, value: str) -> None:
    """Write an old value. Where the firmware gave no bandwidths, the kernel refuses to compute weights
    (weighted_interleave/auto, ENODEV), and computed none before.
    """
    try:
        path.write_text(value, encoding="ascii")
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


class Tunables:
    """Sets tunables, and remembers the old value of each.

    Args:
        journal: a file for the old values, or None.
    """

    def __init__(self, journal: Path | None = None) -> None:
        self._before: dict[str, str] = {}
        self._journal = journal

    def set(self, path: Path, value: str | int) -> None:
        """Write a tunable, unless it has that value already.

        Raises:
            FileNotFoundError: this kernel does not have it.
            OSError: the kernel refuses the value.
        """
        before = _read(path)
        if before == str(value):
            return
        if str(path) not in self._before:
            self._before[str(path)] = before
            self._write_journal()
        path.write_text(str(value), encoding="ascii")

    def _write_journal(self) -> None:
        if self._journal is None:
            return
        draft = self._journal.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self._before))
        draft.replace(self._journal)

    def restore(self) -> None:
        """Restore every tunable, in the reverse order of the writes."""
        for path, value in reversed(self._before.items()):
            with contextlib.suppress(FileNotFoundError):
                _restore(Path(path), value)
        self._before.clear()
        if self._journal is not None:
            self._journal.unlink(missing_ok=True)


def restore_from_journal(journal: Path) -> list[str]:
    """Restore the tunables that a killed agent left changed.

    Returns:
        The restored ones.
    """
    try:
        before = msgspec.json.decode(journal.read_bytes(), type=dict[str, str])
    except FileNotFoundError:
        return []
    for path, value in reversed(before.items()):
        _restore(Path(path), value)
    journal.unlink()
    return list(before)
