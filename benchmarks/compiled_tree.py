# SPDX-License-Identifier: GPL-2.0-only
"""Build what is timed, below benchmarks/out: the model with its driver, compiled; and the C reference.

The driver (operations.py) is compiled in one unit with the model, by a copy of the project's own
setup.py: so its loops are C, and its calls cost what calls between modules of the model cost. Nothing is built again while the sources are the same.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["OUT", "ROOT", "BuildFailed", "compiled_tree", "reference_program"]

ROOT = Path(__file__).parent.parent
OUT = ROOT / "benchmarks" / "out"
DRIVER = ROOT / "benchmarks" / "operations.py"


class BuildFailed(Exception):
    """A compiler failed; the text is what it said."""


def digest(paths: Iterable[Path], extra: str = "") -> str:
    """A name for the contents of the files, and for what else the build depends on."""
    seen = hashlib.sha256(extra.encode())
    for path in sorted(paths):
        seen.update(path.name.encode())
        seen.update(path.read_bytes())
    return seen.hexdigest()


def run(command: list[str], **options: object) -> None:
    """Run a compiler; what it says is shown only when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise BuildFailed(
            f"{' '.join(command[:3])} ...:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )


def up_to_date(stamp: Path, wanted: str) -> bool:
    """Whether the stamp says that this very thing was built."""
    return stamp.exists() and stamp.read_text(encoding="utf-8") == wanted


def compiled_tree() -> Path:
    """A folder with the package thplab and the module operations, compiled.

    Raises:
        BuildFailed: mypyc or the C compiler failed.
    """
    tree = OUT / "compiled"
    stamp = OUT / "compiled.sha256"
    package = ROOT / "src" / "thplab"
    settings = [ROOT / name for name in ("pyproject.toml", "setup.py", "LICENSE")]
    wanted = digest([*package.rglob("*.py"), DRIVER, *settings, Path(__file__)], sys.version)
    if up_to_date(stamp, wanted):
        return tree / "src"
    stamp.unlink(missing_ok=True)
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(package, tree / "src/thplab", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "scenarios").mkdir()
    for path in settings:
        shutil.copy(path, tree)
    shutil.copy(DRIVER, tree / "src")
    copied = tree / "pyproject.toml"
    text = copied.read_text(encoding="utf-8")
    copied.write_text(
        text.replace("\nmodules = [", f'\nmodules = [\n    "{DRIVER.name}",', 1), encoding="utf-8"
    )
    environment = {**os.environ, "THPLAB_REQUIRE_COMPILED": "1"}
    run([sys.executable, "setup.py", "build_ext", "--inplace"], cwd=tree, env=environment)
    stamp.write_text(wanted, encoding="utf-8")
    return tree / "src"


def reference_program() -> Path:
    """The C reference, compiled with -O2.

    Raises:
        BuildFailed: there is no C compiler, or it failed.
    """
    program = OUT / "reference"
    stamp = OUT / "reference.sha256"
    here = ROOT / "benchmarks"
    compiler = os.environ.get("CC", "cc")
    wanted = digest([*here.glob("reference*.[ch]"), Path(__file__)], compiler)
    if not up_to_date(stamp, wanted):
        OUT.mkdir(parents=True, exist_ok=True)
        if shutil.which(compiler) is None:
            raise BuildFailed(f"there is no C compiler ({compiler})")
        flags = ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror"]
        run([compiler, *flags, "-o", str(program), str(here / "reference.c")])
        stamp.write_text(wanted, encoding="utf-8")
    return program
