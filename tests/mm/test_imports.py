# SPDX-License-Identifier: GPL-2.0-only
"""What the modules of mm/ import from each other: at run time no circle, for types only Machine."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "thplab" / "mm"
PACKAGE = "thplab.mm."


def modules() -> list[str]:
    """The modules of mm/, by their names there."""
    found = sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")
    assert "machine" in found
    return found


def for_types(node: ast.stmt) -> bool:
    """Whether the statement is `if TYPE_CHECKING:`."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name imported from a module of mm/: (module, name). An import of a whole module has the name ""."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            for alias in node.names:
                yield node.module.removeprefix(PACKAGE), alias.name
        elif isinstance(node, ast.ImportFrom) and node.module == "thplab.mm":
            for alias in node.names:
                yield alias.name, ""
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(PACKAGE):
                    yield alias.name.removeprefix(PACKAGE), ""


def split_imports(source: str) -> tuple[set[str], set[tuple[str, str]]]:
    """The modules that a source imports at run time, and what it imports for its types."""
    tree = ast.parse(source)
    typed = {found for node in tree.body if for_types(node) for found in imports(node)}
    tree.body = [node for node in tree.body if not for_types(node)]
    return {module for module, _ in imports(tree)}, typed


def circle(needs: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle; empty if there is none."""
    done: set[str] = set()

    def visit(module: str, above: list[str]) -> list[str]:
        if module in above:
            return above[above.index(module) :]
        if module in done:
            return []
        for needed in sorted(needs[module]):
            found = visit(needed, [*above, module])
            if found:
                return found
        done.add(module)
        return []

    return next((found for module in sorted(needs) if (found := visit(module, []))), [])


def all_imports() -> dict[str, tuple[set[str], set[tuple[str, str]]]]:
    return {
        module: split_imports((SOURCE / f"{module}.py").read_text(encoding="utf-8"))
        for module in modules()
    }


def test_at_run_time_no_module_imports_itself_by_way_of_others() -> None:
    assert circle({module: needs for module, (needs, _) in all_imports().items()}) == []


def test_for_types_only_machine_is_imported() -> None:
    typed = {module: sorted(names) for module, (_, names) in all_imports().items() if names}
    assert typed
    assert all(names == [("machine", "Machine")] for names in typed.values()), typed


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c"]),
        ({"a": {"a"}}, ["a"]),
    ],
)
def test_a_circle_is_found(needs: dict[str, set[str]], expected: list[str]) -> None:
    assert circle(needs) == expected


def test_an_import_inside_a_function_counts_as_one_at_run_time() -> None:
    source = (
        "if TYPE_CHECKING:\n    from thplab.mm.machine import Machine\n"
        "from thplab.mm.gfp import GFP_KERNEL\n"
        "def late():\n    from thplab.mm import fork\n    import thplab.mm.swap\n"
    )
    assert split_imports(source) == ({"gfp", "fork", "swap"}, {("machine", "Machine")})
