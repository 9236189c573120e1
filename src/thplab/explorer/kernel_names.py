# SPDX-License-Identifier: GPL-2.0-only
"""The kernel functions that a function of the model stands for, as its docstring begins.

    list_lru_add(): ...                       it stands for this one
    folio_put(), folio_put_refs(): ...        it stands for each of these
    munmap(2) (mm/mmap.c): ...                it is a system call; the file is not the module's
    split_queue_lock() (6.19 to 7.1): ...     it is of other releases than the module
    Part of balance_pgdat(): ...              it is a piece of one, and has no name of its own

The module's docstring names the file and the release of all others: "(mm/list_lru.c, 7.2)". A release is
that one and those after it; a span ends; "as posted" was never released.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["KernelNames", "Source", "names_of", "source_of"]

_NAME = r"[A-Za-z_]\w*\((?:2)?\)"
_BEGINNING = re.compile(
    rf"(?P<part>Part of )?(?P<names>{_NAME}(?:, {_NAME})*)(?: \((?P<source>[^()]+)\))?[:.](?:\s|$)"
)
_FILE = re.compile(r"[\w.+-]+(?:/[\w.+-]+)+\.[ch]")
_RELEASE = re.compile(r"\d+\.\d+(?: to \d+\.\d+)?|as posted")
_OF_MODULE = re.compile(rf"\((?P<source>{_FILE.pattern}, (?:{_RELEASE.pattern}))\)")


class Source(NamedTuple):
    """Where a kernel function is: a file of the kernel's tree, and the releases; "" is not said."""

    file: str
    release: str


class KernelNames(NamedTuple):
    """What the beginning of a docstring says.

    Attributes:
        names: "list_lru_add()", "munmap(2)".
        part: the function is only a part of these.
    """

    names: list[str]
    part: bool
    source: Source


def names_of(docstring: str | None) -> KernelNames | None:
    """The kernel's names at the beginning of a function's docstring, or None.

    Raises:
        ValueError: a bracket behind the names has neither a file nor a release.
    """
    found = _BEGINNING.match(docstring or "")
    if found is None:
        return None
    source = _source(found["source"]) if found["source"] else Source("", "")
    return KernelNames(found["names"].split(", "), found["part"] is not None, source)


def source_of(docstring: str | None) -> Source:
    """What a module's docstring says of all its functions."""
    found = _OF_MODULE.search(" ".join((docstring or "").split()))
    return Source("", "") if found is None else _source(found["source"])


def _source(text: str) -> Source:
    file = release = ""
    for word in text.split(", "):
        if _FILE.fullmatch(word) and not file:
            file = word
        elif _RELEASE.fullmatch(word) and not release:
            release = word
        else:
            raise ValueError(f"({text}) has {word!r}, neither a kernel file nor a release")
    return Source(file, release)
