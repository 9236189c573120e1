# SPDX-License-Identifier: GPL-2.0-only
"""The rules of the project that no linter knows: floors, length of files, licence, speed of --help."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import thplab
from thplab.designs import shipped
from thplab.scenario.library import library_dir, library_files

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "thplab"

FLOOR = {
    "errors": 0,
    "kernel_version": 0,
    "cpu": 1,
    "mm": 2,
    "designs": 3,
    "releases": 4,
    "scenario": 5,
    "observe": 6,
    "agent": 7,
    "backends": 8,
    "explorer": 8,
    "comparison": 9,
    "report": 10,
    "sweep": 10,
    "api": 11,
    "cli": 12,
    "__main__": 13,
}
"""An import goes to a lower number, or stays in its room. thplab/__init__.py is below all."""

MAX_LINES = 400
MAX_GOLDEN_LINES = 1500
"""So much a reviewer can read."""

MAY_PRINT = {"cli", "agent/__main__.py", "explorer/interpreted.py"}
"""The command line, and the two programs that thplab itself starts: each has an output of its own."""
PROGRESS = "cli/options.py"
"""The bar that a long run shows on a terminal is no result."""


def sources(*folders: Path) -> list[Path]:
    """The Python files below the folders."""
    found = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    assert found
    return found


def our_files() -> list[Path]:
    """All that we write in Python and C."""
    folders = [ROOT / name for name in ("src", "tests", "benchmarks", "tools")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    ours = [path for path in files if path.suffix in {".py", ".c", ".h"}]
    return [path for path in ours if "out" not in path.relative_to(ROOT).parts]


def room_of(module: str) -> str:
    """The room of a dotted module name; "" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Each module of ours that a file imports anywhere in it, with the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "thplab":
                names = [f"thplab.{alias.name}" for alias in node.names]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "thplab")


def upward_imports(path: Path, room: str) -> list[str]:
    """The imports of a file that leave its room without going down."""
    return [
        f"{path.name}:{line} imports {name}"
        for line, name in imports(path)
        if (other := room_of(name)) in FLOOR and other != room and FLOOR[other] >= FLOOR[room]
    ]


def room_of_file(path: Path) -> str:
    """The room that a file of src/thplab is in."""
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else path.stem


def test_every_room_has_a_floor() -> None:
    rooms = {room_of_file(path) for path in sources(SOURCE)}
    assert rooms - {"__init__"} <= set(FLOOR)


def test_the_floors_are_those_that_a_contributor_reads() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = re.search(r"`(cpu < [^`]*)`", text)
    assert told is not None
    rooms = sorted(room for room, floor in FLOOR.items() if 0 < floor < FLOOR["__main__"])
    floors = sorted({FLOOR[room] for room in rooms})
    names = [", ".join(room for room in rooms if FLOOR[room] == floor) for floor in floors]
    assert told[1] == " < ".join(names)


def test_imports_go_down_through_the_floors() -> None:
    upward = []
    for path in sources(SOURCE):
        room = room_of_file(path)
        if room != "__init__":  # the front door: test_importing_thplab_imports_nothing_else
            upward += upward_imports(path, room)
    assert upward == []


@pytest.mark.parametrize(
    "text",
    [
        "import thplab.mm.mm_types",
        "from thplab.mm.mm_types import Folio",
        "from thplab import mm",
        "def late():\n    from thplab.designs.list_lru import ListLruQueue\n",
        "if TYPE_CHECKING:\n    from thplab.mm.mm_types import Folio\n",
    ],
)
def test_an_upward_import_is_found_wherever_it_stands(text: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(text, encoding="utf-8")
    assert len(upward_imports(path, "cpu")) == 1
    assert upward_imports(path, "scenario") == []


def test_no_import_is_relative() -> None:
    relative = [
        path
        for path in sources(SOURCE)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_a_file_stays_under_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in our_files()
    }
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_a_golden_file_can_be_read() -> None:
    files = [path for path in (ROOT / "tests").rglob("__snapshots__/**/*") if path.is_file()]
    assert files
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_GOLDEN_LINES} == {}


def test_only_report_draws_and_only_commands_print() -> None:
    """What a result looks like is decided in report/: rich is its tool, and nobody else prints a result."""
    draw, write = set(), set()
    for path in sources(SOURCE):
        name = str(path.relative_to(SOURCE))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom | ast.Import):
                module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                if (module or "").split(".")[0] == "rich":
                    draw.add(name)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                write.add(name)
    assert {name for name in draw if not name.startswith("report/")} == {PROGRESS}
    assert {name for name in write if not MAY_PRINT & {name, name.split("/")[0]}} == set()


def test_each_file_names_its_licence_first() -> None:
    bare = []
    for path in our_files():
        lines = path.read_text(encoding="utf-8").splitlines()
        head = lines[1:2] if lines and lines[0].startswith("#!") else lines[:1]
        if lines and not any("SPDX-License-Identifier: GPL-2.0-only" in line for line in head):
            bare.append(str(path.relative_to(ROOT)))
    assert bare == []


def test_the_licence_is_the_one_that_the_files_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "GPL-2.0-only"
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "Version 2, June 1991" in text


def test_a_commit_is_checked_by_the_versions_that_make_lint_uses() -> None:
    """What the hooks of pre-commit install is what the extra `lint` installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    installed = set(re.findall(r"\bruff==[0-9.]+", hooks))
    assert installed == {
        needed for needed in project["optional-dependencies"]["lint"] if needed.startswith("ruff==")
    }


def test_the_version_is_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{thplab.__version__}]" in changelog


def test_every_design_of_another_package_can_be_loaded() -> None:
    """Those that ship are files of thplab.designs, and no entry points."""
    for point in entry_points(group="thplab.designs"):
        assert isinstance(point.load(), type)
        assert point.name not in shipped()


def test_the_library_is_found_and_complete() -> None:
    """Installed or not, thplab finds every scenario file of the source tree."""
    assert library_dir().is_dir()
    in_tree = {path.name for path in (ROOT / "scenarios").glob("*.toml")}
    assert {path.name for path in library_files()} == in_tree
    assert in_tree


def test_help_answers_at_once() -> None:
    """Optional and heavy parts are imported when used. The limit is generous: CI machines are busy."""
    command = [sys.executable, "-m", "thplab", "--help"]
    took = []
    for _ in range(3):
        begin = time.monotonic()
        done = subprocess.run(
            command, env=dict(os.environ), capture_output=True, text=True, check=False
        )
        took.append(time.monotonic() - begin)
        assert done.returncode == 0, done.stderr
        assert "compare" in done.stdout
    assert min(took) < 1.0


def test_importing_thplab_imports_nothing_else() -> None:
    """The front door is lazy, so that what is offered costs nothing before it is used."""
    command = "import sys, thplab; print(*sorted(name for name in sys.modules if 'thplab' in name))"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["thplab"]
