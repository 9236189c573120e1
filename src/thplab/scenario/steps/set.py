# SPDX-License-Identifier: GPL-2.0-only
"""The step `set`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Self

import msgspec

from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.naming import meant, quoted
from thplab.scenario.step import Step
from thplab.scenario.tunables import HOST_FILES, CgroupSettings, ThpSettings, Tunable
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["Set"]


class Set(Step, tag="set", frozen=True):
    """A write to a cgroup's file (with `cgroup`), to one below /sys/kernel/mm/transparent_hugepage, or to a sysctl."""

    file: str
    value: bool | int | str
    cgroup: str | None = None

    weights = MappingProxyType({"limits": 8, "nodes": 0})

    def __post_init__(self) -> None:
        """Decode the value as the file takes it; check() refuses an unknown file."""
        row = self.row()
        if row is None:
            return
        try:
            value = row.kind.parse(self.value)
        except ValueError as error:
            raise ValueError(f"{self.file} cannot be {quoted(self.value)}; {error}") from None
        msgspec.structs.force_setattr(self, "value", value)

    def row(self) -> Tunable | None:
        """The file; None if `set` can write no file of this name."""
        rows = HOST_FILES if self.cgroup is None else CgroupSettings.rows
        row = rows.get(self.file)
        return None if row is None or row.ours else row

    def the_row(self) -> Tunable:
        """The file, which check() has found."""
        row = self.row()
        assert row is not None, self.file
        return row

    def check(self, declared: Declared) -> None:
        """A file that `set` can write, of a cgroup that exists."""
        if self.cgroup is not None:
            declared.memory_controller()
            declared.cgroup(self.cgroup)
            if self.cgroup == "/":
                raise declared.wrong("the root cgroup has no limits", "name another cgroup")
        if self.row() is None:
            raise declared.wrong(f"there is no file {quoted(self.file)} to set", self._remedy())

    def _remedy(self) -> str:
        if self.cgroup is not None:
            return meant(self.file, CgroupSettings.rows, "files of a cgroup")
        if self.file in CgroupSettings.rows:
            return 'say whose it is: cgroup = "/victim"'
        files = [file for file, row in HOST_FILES.items() if not row.ours]
        return meant(self.file, files, "tunables")

    def on_model(self, world: ModelWorld) -> str:
        """Store it where the row says that the model keeps it, or do what the kernel does on a write."""
        if self.cgroup is None:
            world.set_tunable(self.the_row(), self.value)
        else:
            world.set_limit(self.cgroup, self.the_row(), self.value)
        return ""

    def on_kernel(self, world: KernelWorld) -> str:
        """One write."""
        if self.cgroup is None:
            world.set_tunable(self.the_row(), self.value)
        else:
            path = world.cgroup_file(self.cgroup, self.file)
            path.write_text(self.the_row().text(self.value), encoding="ascii")
        return ""

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """A file whose row says what fuzz writes; in the series "limits" a limit of a cgroup, or protection."""
        if draw.series == "limits":
            file = draw.choice(("memory.max", "memory.max", "memory.low", "memory.min"))
            return cls(file=file, value=draw.limit(), cgroup=draw.home())
        if draw.series == "khugepaged":
            row = ThpSettings.rows["khugepaged/max_ptes_none"]
            return cls(file=row.file, value=draw.choice(row.draws))
        of_cgroup = draw.chance(0.3)
        rows = (CgroupSettings if of_cgroup else ThpSettings).rows.values()
        row = draw.choice([row for row in rows if row.draws])
        return cls(
            file=row.file,
            value=draw.choice(row.draws),
            cgroup=draw.leaf() if of_cgroup else None,
        )
