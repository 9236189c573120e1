# SPDX-License-Identifier: GPL-2.0-only
"""The kernel functions that the model stands for, and where: docs/kernel-index.md.

They are read from the docstrings of the source (see thplab.explorer.kernel_names), not imported.

    python tools/kernel_index.py    writes the page
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from thplab.explorer.kernel_names import KernelNames, Source, names_of, source_of

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "kernel-index.md"
SOURCE = ROOT / "src" / "thplab"
ROOMS = ("cpu", "mm", "designs")

HEAD = """\
# Kernel functions

The model has the kernel's names. This index is made from its docstrings (`python tools/kernel_index.py`): the kernel
function, its file and its release, and what stands for it here. A release means that one and those after it, as far as is
known; "5.4 to 6.18" means only these; "as posted" was never released. A function that is only a part of the kernel's says so.
`make check-kernel-index` looks for each of them in a kernel tree.

| kernel function | file | release | here |
|---|---|---|---|
"""


class DocstringError(Exception):
    """A docstring that cannot go into the index; the message names the place and what would be right."""


class Row(NamedTuple):
    """One kernel function, and one place that stands for it or for a part of it."""

    name: str
    part: bool
    source: Source
    module: str
    place: str


def functions(body: list[ast.stmt], outer: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions and methods of a module or class, with their qualified names."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from functions(node.body, f"{outer}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield outer + node.name, node


def rows_of(text: str, module: str) -> Iterator[Row]:
    """What the docstrings of a module's source say.

    Args:
        text: its source.
        module: its path below src/thplab, for the rows.

    Raises:
        DocstringError: the file or the release of a function is not said.
    """
    tree = ast.parse(text)
    of_module = source_of(ast.get_docstring(tree))
    for place, node in functions(tree.body):
        where = f"{module}: {place}"
        try:
            found = names_of(ast.get_docstring(node))
        except ValueError as error:
            raise DocstringError(f"{where}: {error}") from error
        if found is not None:
            yield from _rows(found, of_module, module, place)


def _rows(found: KernelNames, of_module: Source, module: str, place: str) -> Iterator[Row]:
    source = Source(found.source.file or of_module.file, found.source.release or of_module.release)
    if not source.file or not source.release:
        raise DocstringError(
            f"{module}: {place} stands for {found.names[0]}, and neither its docstring nor the module's says of which"
            " file and release: write (mm/list_lru.c, 7.2) into one of them"
        )
    for name in found.names:
        yield Row(name, found.part, source, module, place)


def rows() -> list[Row]:
    """All of the model, by the kernel's names."""
    found = [
        row
        for room in ROOMS
        for path in sorted((SOURCE / room).glob("*.py"))
        for row in rows_of(path.read_text(encoding="utf-8"), f"{room}/{path.name}")
    ]
    return sorted(found, key=lambda row: (row.name.lstrip("_"), row.name, row.module, row.place))


def page() -> str:
    """The text of docs/kernel-index.md."""
    lines = [
        f"| `{row.name}` | {row.source.file} | {row.source.release} | "
        f"{'part: ' if row.part else ''}[`{row.place}`](../src/thplab/{row.module}) in {row.module} |\n"
        for row in rows()
    ]
    return HEAD + "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
