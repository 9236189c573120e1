# SPDX-License-Identifier: GPL-2.0-only
"""Reads the text of a scenario file, and its TOML; no file can crash or stall it."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from typing import Any

from thplab.scenario.errors import ScenarioError
from thplab.scenario.naming import quoted

__all__ = ["LARGEST_FILE", "parse_toml", "read_text"]

LARGEST_FILE = 1 << 20
_LONGEST_LINE = 4000
_MOST_DOTS = 100

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of the file.

    Raises:
        ScenarioError: there is no such file, it cannot be read, or it is not text.
    """
    try:
        # Not blocking: a pipe without a writer must not hold the reader for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise ScenarioError("not a path of a file", "give the path of a scenario file") from None
    except OSError as error:
        raise _cannot_read(error) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise _cannot_read(IsADirectoryError(errno.EISDIR, "is a directory"))
        if not stat.S_ISREG(mode):
            raise ScenarioError("not a regular file", "give the path of a scenario file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _cannot_read(error) from None
    finally:
        os.close(descriptor)
    if len(content) > LARGEST_FILE:
        raise ScenarioError(
            f"the file is larger than {LARGEST_FILE >> 10} KiB",
            'one line can stand for many: see ranges, "job{000..999}"',
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError(
            f"byte {error.start} is not UTF-8 text", "a scenario is a TOML file, in UTF-8"
        ) from None


def _cannot_read(error: OSError) -> ScenarioError:
    if isinstance(error, FileNotFoundError):
        return ScenarioError("no such file", "`thplab scenarios` lists those of the library")
    if isinstance(error, IsADirectoryError):
        return ScenarioError("this is a directory", "give the path of a scenario file in it")
    return ScenarioError(f"cannot be read: {error.strerror}", "give the path of a scenario file")


def parse_toml(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        ScenarioError: not TOML; the message has the line and the column.
    """
    _refuse_the_unreasonable(text)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason = re.sub(r"\s*\(at (.*)\)$", r" at \1", str(error))
        raise ScenarioError(
            f"not TOML: {reason[:200]}", "docs/scenarios.md shows what a scenario file looks like"
        ) from None
    except (ValueError, RecursionError, OverflowError):
        raise ScenarioError(
            "not TOML that thplab can read: a number is too long, or the nesting too deep",
            "docs/scenarios.md shows what a scenario file looks like",
        ) from None


def _refuse_the_unreasonable(text: str) -> None:
    """Refuse a text on which the TOML parser would spend far more time or stack than its length suggests."""
    if len(text) > LARGEST_FILE:
        raise ScenarioError("the text is too large", f"at most {LARGEST_FILE} characters")
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"line {number}"
        if _CONTROL.search(line):
            raise ScenarioError(
                "a control character: this is not text",
                "a scenario is a TOML file, in UTF-8",
                where,
            )
        if len(line) > _LONGEST_LINE:
            raise ScenarioError(
                f"the line is {len(line)} characters long: {quoted(line[:30])}",
                f"at most {_LONGEST_LINE} are possible",
                where,
            )
        # The parser needs quadratic time for a key of many parts.
        if line.count(".") > _MOST_DOTS and not line.lstrip().startswith("#"):
            raise ScenarioError(
                f"the line has more than {_MOST_DOTS} dots", "a key has few parts", where
            )
