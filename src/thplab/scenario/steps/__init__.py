# SPDX-License-Identifier: GPL-2.0-only
"""The steps of the language: each file in this folder is one."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Union

from thplab.scenario.errors import InputError
from thplab.scenario.step import Step

__all__ = ["STEPS", "AnyStep", "collect"]

_PARTS = ("check", "on_model", "on_kernel", "draw")


def collect(modules: Iterable[ModuleType]) -> dict[str, type[Step]]:
    """The step of each module, by its tag.

    Raises:
        InputError: a module has no step, or several; a step lacks a part; two steps have the same tag.
    """
    steps: dict[str, type[Step]] = {}
    for module in modules:
        kind = _step_of(module)
        tag = str(kind.__struct_config__.tag)
        if tag in steps:
            raise InputError(
                f"{steps[tag].__module__} and {module.__name__} both have the step {tag!r}; "
                "give each its own tag"
            )
        steps[tag] = kind
    return steps


def _step_of(module: ModuleType) -> type[Step]:
    kinds = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Step)
        and value.__module__ == module.__name__
    ]
    if len(kinds) != 1:
        raise InputError(
            f"{module.__name__} has {len(kinds)} steps; a file in thplab/scenario/steps/ has one: "
            'class Discard(RangeStep, tag="discard")'
        )
    (kind,) = kinds
    missing = [part for part in _PARTS if _inherited(kind, part)]
    if kind.__struct_config__.tag == kind.__name__:  # what msgspec takes where none is written
        missing.append("tag")
    if not kind.__doc__:
        missing.append("docstring")
    if missing:
        raise InputError(
            f"{module.__name__}: {kind.__name__} lacks {', '.join(missing)}; "
            "thplab.scenario.step.Step says what each is for"
        )
    return kind


def _inherited(kind: type[Step], part: str) -> bool:
    """True if no class below Step has the part."""
    owner = next(base for base in kind.__mro__ if part in vars(base))
    return owner is Step


STEPS = collect(
    import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
)
"""By tag, in alphabetical order."""

if TYPE_CHECKING:
    AnyStep = Step
else:
    AnyStep = Union[tuple(STEPS.values())]  # noqa: UP007 -- the steps are known at run time only
