# SPDX-License-Identifier: GPL-2.0-only
"""The results of verify and fuzz on a kernel, kept as a small JSON file, from which pages are made.

A record has no date and no path, so the same results give the same file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from thplab.comparison.verify import Verification
from thplab.errors import InputError
from thplab.releases.release import Release

__all__ = [
    "LINES",
    "FuzzRecord",
    "KernelRecord",
    "LibraryRecord",
    "read_records",
    "record_path",
    "recorded",
]

LINES = 12
"""How many differing figures of a scenario a record keeps."""


class LibraryRecord(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The library on a kernel.

    Attributes:
        agree: the scenarios whose figures all agree.
        differ: the others that were compared, each with its first differing figures and its warnings.
        known: the known differences of scenarios, in words.
        empty: the scenarios of which no figure could be compared.
        not_compared: the scenarios that could not be used, each with the reason.
        figures: the number of figures that agree, exactly or within a tolerance.
        unseen: the number of figures that only one of the two saw.
        seconds: the time that all of it took.
    """

    agree: list[str]
    differ: dict[str, list[str]]
    known: dict[str, list[str]]
    empty: list[str]
    not_compared: dict[str, str]
    figures: int
    unseen: int
    seconds: int

    @classmethod
    def of(cls, verifications: Iterable[Verification], seconds: float) -> LibraryRecord:
        """The record of the Verifications of one kernel."""
        record = cls(
            agree=[],
            differ={},
            known={},
            empty=[],
            not_compared={},
            figures=0,
            unseen=0,
            seconds=round(seconds),
        )
        figures = unseen = 0
        for one in sorted(verifications, key=lambda one: one.scenario):
            figures += one.agreed
            unseen += one.counts["unseen"]
            known = {figure.why for figure in one.figures if figure.known}
            if known:
                record.known[one.scenario] = sorted(known)
            if one.not_compared:
                record.not_compared[one.scenario] = one.not_compared
            elif one.failed:
                record.differ[one.scenario] = one.complaints[:LINES]
            elif one.empty:
                record.empty.append(one.scenario)
            else:
                record.agree.append(one.scenario)
        return msgspec.structs.replace(record, figures=figures, unseen=unseen)


class FuzzRecord(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A series of random scenarios on a kernel.

    Attributes:
        kind: the kind of scenarios.
        seed: of the series.
        count: the number of scenarios.
        figures: the number of figures that agree, exactly or within a tolerance.
        differ: the numbers of the scenarios that differ, each with the first differences on its smallest form.
        empty: the number of scenarios of which no figure could be compared; they neither agree nor differ.
        left_out: the steps that the kernel does not offer, which the series therefore does without.
        seconds: the time that all of it took, with the reduction of those that differ.
    """

    kind: str
    seed: int
    count: int
    figures: int
    differ: dict[int, list[str]]
    empty: int
    left_out: list[str]
    seconds: int


class KernelRecord(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """All results of one kernel.

    Attributes:
        kernel: the title of its column.
        linux: its uname -r.
        release: the release that the model stood for.
        design: of the queue, as the probe found it.
    """

    kernel: str
    linux: str
    release: str
    design: str
    library: LibraryRecord | None = None
    fuzz: list[FuzzRecord] = []


def record_path(directory: Path, kernel: str) -> Path:
    """The file of a kernel's record."""
    return directory / f"{kernel.replace(':', '-')}.json"


def read_records(directory: Path) -> list[KernelRecord]:
    """All records of a directory, by release, then by name.

    Raises:
        InputError: a file cannot be read, or is no record.
    """
    found = [_read(path) for path in directory.glob("*.json")]
    return sorted(found, key=lambda one: (*map(int, one.release.split(".")), one.kernel))


def _read(path: Path) -> KernelRecord:
    try:
        return msgspec.json.decode(path.read_bytes(), type=KernelRecord)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(
            f"{path}: this is no record of thplab: {error}; remove it, or name another directory"
        ) from error


def recorded(
    directory: Path,
    kernel: str,
    linux: str,
    release: Release,
    result: LibraryRecord | FuzzRecord,
) -> str:
    """The text of a kernel's record with one more result, in the place of an older one of the same kind.

    What another kernel left under the same name goes: its results are not those of this one.

    Args:
        directory: of the records.
        kernel: the title of its column.
        linux: its uname -r.
        release: what it does, as the probe found it.
        result: the library's, or that of a series of random scenarios.
    """
    record = KernelRecord(kernel=kernel, linux=linux, release=release.name, design=release.design)
    path = record_path(directory, kernel)
    if path.exists():
        before = _read(path)
        if (before.linux, before.design) == (linux, release.design):
            record = msgspec.structs.replace(record, library=before.library, fuzz=before.fuzz)
    if isinstance(result, LibraryRecord):
        record = msgspec.structs.replace(record, library=result)
    else:
        others = [one for one in record.fuzz if (one.kind, one.seed) != (result.kind, result.seed)]
        series = sorted([*others, result], key=lambda one: (one.kind, one.seed))
        record = msgspec.structs.replace(record, fuzz=series)
    return msgspec.json.format(msgspec.json.encode(record)).decode() + "\n"
