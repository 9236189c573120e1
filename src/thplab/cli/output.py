# SPDX-License-Identifier: GPL-2.0-only
"""Writes results to files, whole or not at all."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from thplab.scenario.errors import InputError

__all__ = ["check_directory", "check_writable", "write_text"]


def check_writable(*paths: str | None) -> None:
    """Refuse paths that thplab could not write the result to, before the work begins.

    Raises:
        InputError: the path is a directory, or its folder does not exist or is not writable.
    """
    for path in paths:
        if path is None:
            continue
        target, folder = Path(path), Path(path).resolve().parent
        if target.is_dir():
            raise InputError(f"{path}: this is a directory; give the name of a file")
        if not folder.is_dir():
            raise InputError(f"{path}: the folder {folder} does not exist; make it first")
        if not os.access(folder, os.W_OK) and not _is_special(target):
            raise InputError(f"{path}: the folder {folder} is not writable; choose another")


def check_directory(option: str, path: str | None) -> None:
    """Refuse a directory that does not exist, before the work begins.

    Raises:
        InputError: it does not.
    """
    if path is not None and not Path(path).is_dir():
        raise InputError(f"{option} {path}: there is no such directory; make it first")


def write_text(path: str | None, text: str) -> None:
    """Write `text` to the file, or to standard output if there is no path.

    A file gets its name only when its content is complete, so an old file is never half overwritten.
    To a device or a pipe it writes directly.

    Raises:
        InputError: a write failed.
    """
    if path is None:
        sys.stdout.write(text)
        return
    try:
        if _is_special(Path(path)):
            Path(path).write_text(text, encoding="utf-8")
        else:
            _replace(Path(path).resolve(), text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _replace(target: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(_mode(target))
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """The mode of the existing file, or the one that a new file would get."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
