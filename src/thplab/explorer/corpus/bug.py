# SPDX-License-Identifier: GPL-2.0-only
"""A bug of the corpus: code that has it, the case that shows it, and who must notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thplab.explorer.cases.machine_world import Design, MachineCase, Setup
from thplab.explorer.core_check import CheckFailed

__all__ = ["Bug", "bug", "promise"]


@dataclass(frozen=True)
class Bug:
    """One entry of the corpus.

    Attributes:
        id, title: as in the list of known bugs.
        versions: where it was, as far as is known.
        checks: each of these may notice it first.
        broken, fixed: the case on the code with the bug, and on the code without it.
        bound: preemptions up to which both are searched.
        about: what happens, in a sentence or two.
    """

    id: str
    title: str
    versions: str
    checks: tuple[str, ...]
    broken: MachineCase
    fixed: MachineCase
    bound: int
    about: str


def bug(
    number: str,
    title: str,
    versions: str,
    *,
    checks: str | tuple[str, ...],
    mutant: Design,
    fixed: Design,
    setup: Setup | MachineCase,
    fixed_setup: Setup | None = None,
    about: str,
    bound: int = 2,
    cpus: int = 1,
    handlers: Sequence[int] = (),
    boot: str = "on",
    nodes: int = 1,
) -> Bug:
    """Build an entry. `setup` is a standard case, or a setup of its own; `fixed_setup` where the fix
    lies in what the CPUs do and not in the design.
    """
    case = (
        setup
        if isinstance(setup, MachineCase)
        else MachineCase(number, title, setup, cpus=cpus, handlers=handlers, boot=boot, nodes=nodes)
    )
    expected = (checks,) if isinstance(checks, str) else checks
    broken = case.on(mutant, name=number)
    good = case.on(fixed, name=f"{number}-fixed", setup=fixed_setup)
    return Bug(number, title, versions, expected, broken, good, bound, about)


def promise(kept: bool, text: str) -> None:
    """A postcondition of a case.

    Raises:
        CheckFailed: it does not hold.
    """
    if not kept:
        raise CheckFailed("postcondition", text)
