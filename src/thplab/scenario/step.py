# SPDX-License-Identifier: GPL-2.0-only
"""What every step is: a struct with the fields that a file may have, and four methods.

Each file in thplab/scenario/steps/ is one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import ClassVar, Self

import msgspec

from thplab.mm.geometry import FULL_MASK, PAGE_SIZE
from thplab.scenario.declared import Declared
from thplab.scenario.drawing import Draw
from thplab.scenario.errors import ScenarioError
from thplab.scenario.extent import Extent
from thplab.scenario.naming import quoted
from thplab.scenario.parts import Part
from thplab.scenario.units import Size, exact_size
from thplab.scenario.worlds import KernelWorld, ModelWorld

__all__ = ["RangeStep", "Step"]


class Step(
    msgspec.Struct,
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag_field="do",
):
    """One thing that happens. `do` names it: the tag of its class.

    Class attributes:
        weight: how often fuzz draws it, relative to the other steps, in the series "steps".
        weights: the same for other series (:mod:`thplab.sweep.series`), where it is not `weight`.
        interfaces: what of the kernel's it may need that not every release has, with the release that brought it.
    """

    weight: ClassVar[int] = 1
    weights: ClassVar[Mapping[str, int]] = MappingProxyType({})
    interfaces: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def needs(self) -> Iterable[str]:
        """Which of `interfaces` this one needs."""
        return self.interfaces

    def check(self, declared: Declared) -> None:
        """Refuse a step that is impossible at this point; note what it changes.

        Raises:
            ScenarioError: it is impossible; `declared` has not changed.
        """
        raise NotImplementedError

    def on_model(self, world: ModelWorld) -> str:
        """Carry it out on the model.

        Returns:
            What it did that an observation does not show, in one line, or "".
        """
        raise NotImplementedError

    def on_kernel(self, world: KernelWorld) -> str:
        """Carry it out on a running kernel. Returns as :meth:`on_model` does."""
        raise NotImplementedError

    @classmethod
    def draw(cls, draw: Draw) -> Self | None:
        """Draw a random one; None if fuzz cannot draw one now, or never does."""
        raise NotImplementedError


class RangeStep(Step, frozen=True):
    """A step on a region, or on a part of it.

    `offset` and `length` choose an address range of the region, `part` pages in each huge page
    of that range.
    """

    task: str
    region: str
    offset: Size | None = None
    length: Size | None = None
    part: Part | None = None

    @property
    def mask(self) -> int:
        """The pages of each huge page that the step acts on, a bit each."""
        return FULL_MASK if self.part is None else self.part.mask

    def check(self, declared: Declared) -> None:
        """Refuse pages outside of the region, or that became unusable."""
        region = declared.region(self.task, self.region)
        self._check_none_of(
            region.unusable, declared, "choose a range and a part that are still usable"
        )

    def check_writable(self, declared: Declared) -> None:
        """Refuse pages that were protected: a task that writes there is killed by SIGSEGV."""
        region = declared.region(self.task, self.region)
        self._check_none_of(
            region.protected,
            declared,
            'choose another range, or protect it again with access = "write" before',
        )

    def _check_none_of(self, pages: Mapping[Extent, str], declared: Declared, remedy: str) -> None:
        extent = self.extent(declared.region(self.task, self.region).size, declared.where)
        for taken, why in pages.items():
            if extent.overlaps(taken):
                raise declared.wrong(f"a part of region {quoted(self.region)} was {why}", remedy)

    def check_whole(self, declared: Declared, what: str) -> None:
        """Refuse offset, length and part: `what` is for a whole region."""
        if self.offset or self.length is not None or self.mask != FULL_MASK:
            raise declared.wrong(
                f"{what} is for a whole region", "leave out offset, length and part"
            )

    def extent(self, size: int, where: str) -> Extent:
        """The pages that the step acts on, of a region of `size` bytes.

        Raises:
            ScenarioError: the range is not in whole pages, is empty, or leaves the region.
        """
        offset = self.offset or 0
        length = size - offset if self.length is None else self.length
        for name, value in (("offset", offset), ("length", length)):
            if value % PAGE_SIZE:
                raise ScenarioError(
                    f"the {name} {exact_size(value)} is not in whole pages", "a page has 4K", where
                )
        if offset >= size or offset + length > size:
            end = "" if self.length is None else f" to {exact_size(offset + length)}"
            raise ScenarioError(
                f"{exact_size(offset)}{end} is outside region {quoted(self.region)} "
                f"of task {quoted(self.task)}",
                f"the region has {exact_size(size)}",
                where,
            )
        if length <= 0:
            raise ScenarioError("the range is empty", "a length has at least 4K", where)
        first = offset // PAGE_SIZE
        return Extent(first, first + length // PAGE_SIZE, self.mask)
