# SPDX-License-Identifier: GPL-2.0-only
"""The files that a scenario sets, a row each: those of huge pages, sysctls, and those of a cgroup.

A row says which values a file takes, its default, the release that brought it, where the model keeps it,
and what fuzz writes to it. The host's settings, the `set` step, their checks, the model, the agent, the
schema and the table of the documentation come from the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Self, cast

from thplab.mm.geometry import HPAGE_PMD_NR
from thplab.scenario.errors import ScenarioError
from thplab.scenario.kinds import Bytes, Kind, Numbers, Switch, Value, Words
from thplab.scenario.naming import meant, quoted
from thplab.scenario.units import Size
from thplab.scenario.written import Written

__all__ = [
    "AWAKE",
    "CGROUP_FILES",
    "HOST_FILES",
    "THP_FILES",
    "VM_FILES",
    "CgroupSettings",
    "ThpSettings",
    "Tunable",
    "Value",
    "VmSettings",
]


class Tunable(NamedTuple):
    """One file.

    Attributes:
        file: below /sys/kernel/mm/transparent_hugepage, a sysctl by its name, or in a cgroup's directory.
        kind: what it takes.
        default: the kernel's.
        model: where the model keeps it: a path of attributes that begins at the machine or the cgroup.
        about: what it decides.
        since: the release that brought it; "" if all releases that thplab knows have it.
        draws: what fuzz writes to it; a value that occurs twice is twice as likely. Empty: fuzz never writes it.
        ours: it is a setting of thplab's own and no file of the kernel; `set` cannot write it.
        write: the method of the model's Charges that a write calls, because the kernel does more than store the
            value. "": it only stores it.
    """

    file: str
    kind: Kind
    default: Value
    model: str
    about: str
    since: str = ""
    draws: tuple[Value, ...] = ()
    ours: bool = False
    write: str = ""

    def text(self, value: Value) -> str:
        """A value as the kernel's file takes it."""
        return str(int(value) if isinstance(value, int) else value)


_MILLISECS = Numbers(0, (1 << 32) - 1)

AWAKE = "khugepaged/awake"

THP_FILES = (
    Tunable(
        "enabled",
        Words("always", "madvise", "never"),
        "always",
        "huge_memory.thp.enabled",
        "which regions get huge pages at a fault",
        draws=("always", "always", "madvise", "never"),
    ),
    Tunable(
        "defrag",
        Words("always", "defer", "defer+madvise", "madvise", "never"),
        "madvise",
        "huge_memory.thp.defrag",
        "how hard a fault tries to get a huge page",
    ),
    Tunable(
        "shrink_underused",
        Switch(),
        True,
        "huge_memory.thp.shrink_underused",
        "whether huge pages that hold mostly zeros are queued too",
        since="6.12",
        draws=(True, False),
    ),
    Tunable(
        AWAKE,
        Switch(),
        False,
        "khugepaged.awake",
        "whether khugepaged runs at all; thplab holds it still unless the scenario asks for it",
        ours=True,
    ),
    Tunable(
        "khugepaged/max_ptes_none",
        Numbers(0, HPAGE_PMD_NR - 1),
        HPAGE_PMD_NR - 1,
        "khugepaged.max_ptes_none",
        "pages that may be missing or zero where khugepaged makes a huge page",
        draws=(511, 511, 409, 255, 0),
    ),
    Tunable(
        "khugepaged/max_ptes_shared",
        Numbers(0, HPAGE_PMD_NR - 1),
        HPAGE_PMD_NR // 2,
        "khugepaged.max_ptes_shared",
        "pages that another task may map too where khugepaged makes a huge page",
        since="5.8",
    ),
    Tunable(
        "khugepaged/defrag",
        Switch(),
        True,
        "khugepaged.defrag",
        "whether khugepaged reclaims memory for a huge page",
    ),
    Tunable(
        "khugepaged/pages_to_scan",
        Numbers(1, (1 << 32) - 1),
        HPAGE_PMD_NR * 8,
        "khugepaged.pages_to_scan",
        "base pages that khugepaged looks at in a pass",
    ),
    Tunable(
        "khugepaged/alloc_sleep_millisecs",
        _MILLISECS,
        60_000,
        "khugepaged.alloc_sleep_millisecs",
        "how long khugepaged waits, once in a pass, when there is no huge page for it",
    ),
    Tunable(
        "khugepaged/scan_sleep_millisecs",
        _MILLISECS,
        10_000,
        "khugepaged.scan_sleep_millisecs",
        "how long khugepaged sleeps between two passes",
    ),
)
"""Below /sys/kernel/mm/transparent_hugepage."""

_PERCENT = Numbers(0, 100)
VM = "vm."

VM_FILES = (
    Tunable(
        f"{VM}min_unmapped_ratio",
        _PERCENT,
        1,
        "vmscan.min_unmapped_ratio",
        "a node's reclaim file does something if the node has more page cache that no task maps than this percentage",
    ),
    Tunable(
        f"{VM}min_slab_ratio",
        _PERCENT,
        5,
        "vmscan.min_slab_ratio",
        "or if it has more reclaimable slab than this percentage",
    ),
)
"""Sysctls, files in /proc/sys/vm. They need a kernel with CONFIG_NUMA."""

HOST_FILES = {row.file: row for row in (*THP_FILES, *VM_FILES)}
"""What `set` writes without a cgroup."""

CGROUP_FILES = (
    Tunable(
        "memory.max",
        Bytes(),
        "max",
        "memory.max",
        "the limit; below what is in use it reclaims, and kills tasks if that is not enough",
        draws=(Size(1 << 30),),
        write="memory_max_write",
    ),
    Tunable(
        "memory.high",
        Bytes(),
        "max",
        "memory.high",
        "beyond it the cgroup's own memory is reclaimed",
        draws=(Size(1 << 30),),
        write="memory_high_write",
    ),
    Tunable(
        "memory.low",
        Bytes(),
        Size(0),
        "memory.low",
        "up to it reclaim spares the cgroup as long as it can",
        draws=(Size(1 << 30),),
    ),
    Tunable(
        "memory.min",
        Bytes(),
        Size(0),
        "memory.min",
        "up to it reclaim never takes from the cgroup",
        draws=(Size(1 << 30),),
    ),
    Tunable(
        "memory.oom.group",
        Switch(),
        False,
        "oom_group",
        "whether the OOM killer kills all tasks of the cgroup when it kills one",
    ),
)
"""In a cgroup's directory."""


class Settings(Written):
    """What a scenario sets of the files of one kind before its first step.

    In a file it is a table; a file in a folder ("khugepaged/awake") is a key of a table in it.
    """

    __slots__ = ("_values",)
    rows: ClassVar[Mapping[str, Tunable]]

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        self._values = dict(values or {})

    @classmethod
    def parse(cls, value: object) -> Self:
        """The settings that a table has.

        Raises:
            ScenarioError: a key is unknown, or its file does not take the value; the caller adds the place.
            ValueError: it is no table.
        """
        if not isinstance(value, dict):
            raise ValueError("expected a table; write { key = value, ... }")  # noqa: TRY004
        return cls(dict(cls._parsed(value, "")))

    @classmethod
    def _parsed(cls, table: dict[str, Any], folder: str) -> Iterator[tuple[str, Value]]:
        known = [
            file.removeprefix(folder).split("/")[0] for file in cls.rows if file.startswith(folder)
        ]
        for key, value in table.items():
            file = folder + key
            if isinstance(value, dict) and any(name.startswith(f"{file}/") for name in cls.rows):
                yield from cls._parsed(value, f"{file}/")
                continue
            if file not in cls.rows:
                raise ScenarioError(
                    f"unknown key {quoted(key)}",
                    meant(key, dict.fromkeys(known), "keys"),
                    folder.strip("/"),
                )
            try:
                yield file, cls.rows[file].kind.parse(value)
            except ValueError as error:
                raise ScenarioError(f"{file} cannot be {quoted(value)}", str(error)) from None

    def __getitem__(self, file: str) -> Value:
        """The value of a file: the default if the scenario does not set it."""
        return self._values[file] if file in self._values else self.rows[file].default

    def items(self) -> Iterable[tuple[Tunable, Value]]:
        """Each file with its value, defaults included."""
        return ((row, self[file]) for file, row in self.rows.items())

    def chosen(self) -> Iterable[tuple[Tunable, Value]]:
        """Each file that the scenario itself sets, with its value."""
        return ((self.rows[file], value) for file, value in self._values.items())

    def with_value(self, file: str, value: Value) -> Self:
        """The same settings with another value of one file."""
        return type(self)({**self._values, file: value})

    def written(self) -> object:
        """The table."""
        table: dict[str, Any] = {}
        for file, value in self._values.items():
            *folders, key = file.split("/")
            place = table
            for folder in folders:
                place = place.setdefault(folder, {})
            place[key] = value.written() if isinstance(value, Size) else value
        return table

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """A table with a key for each file."""
        whole = _table_schema()
        for file, row in cls.rows.items():
            *folders, key = file.split("/")
            place = whole
            for folder in folders:
                place = cast("dict[str, Any]", place["properties"]).setdefault(
                    folder, _table_schema()
                )
            default = row.default.written() if isinstance(row.default, Size) else row.default
            place["properties"][key] = {
                **row.kind.json_schema(),
                "default": default,
                "description": row.about,
            }
        return whole

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._values == other._values

    def __hash__(self) -> int:
        return hash(tuple(sorted(self._values)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values})"


def _table_schema() -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": {}}


class ThpSettings(Settings):
    """/sys/kernel/mm/transparent_hugepage."""

    rows: ClassVar = {row.file: row for row in THP_FILES}


class VmSettings(Settings):
    """/proc/sys/vm."""

    rows: ClassVar = {row.file.removeprefix(VM): row for row in VM_FILES}


class CgroupSettings(Settings):
    """The files of a cgroup."""

    rows: ClassVar = {row.file: row for row in CGROUP_FILES}
