# SPDX-License-Identifier: GPL-2.0-only
"""What is compiled, and what an installed thplab consists of.

The floors that the model runs on are compiled by mypyc; their source is installed beside them and
runs as it is where they could not be compiled. Two environment variables choose:

    THPLAB_PURE=1              do not compile
    THPLAB_REQUIRE_COMPILED=1  fail, rather than install the source alone
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

SETTINGS: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))[
    "tool"
]["thplab"]["compile"]

REQUIRED = os.environ.get("THPLAB_REQUIRE_COMPILED") == "1"
PURE = os.environ.get("THPLAB_PURE") == "1"

# A function of C that frees an object, and its lines about the trashcan.
DEALLOC = re.compile(r"^\w*_dealloc\([^)]*\*self\)\n\{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
TRASHCAN = re.compile(r"^ *CPy_TRASHCAN_(?:BEGIN|END)\(.*\)\n", re.MULTILINE)


def fall_back(reason: object) -> None:
    """Go on without compiled modules, and say so; or, if they are required, do not."""
    if REQUIRED:
        raise SystemExit(f"thplab: THPLAB_REQUIRE_COMPILED=1, but the build failed: {reason}")
    print(f"thplab: WARNING: not compiled, it will run 10 times slower: {reason}", file=sys.stderr)


def compiled_sources() -> list[str]:
    """The modules to compile, in a fixed order."""
    root = Path("src")
    paths = {path for pattern in SETTINGS["modules"] for path in root.glob(pattern)}
    return sorted(str(path) for path in paths if path.name != "__init__.py")


def leave_out_trashcan(source: str) -> None:
    """In a C file of mypyc: objects without a header for the garbage collector are freed without the trashcan.

    CPython puts off what it frees 50 deep, and links it by that header. mypyc 2.4.1 has classes that it knows to be
    acyclic do so too, and that writes in front of the object, into memory of others.
    """
    path = Path(source)
    text = path.read_text(encoding="utf-8")
    spared = DEALLOC.sub(
        lambda found: found[0] if "GC_UnTrack" in found[0] else TRASHCAN.sub("", found[0]), text
    )
    path.write_text(spared, encoding="utf-8")


def extensions() -> list[Extension]:
    """One Extension for all compiled modules, and a small one for each; none if mypyc fails."""
    if PURE:
        return []
    try:
        from mypyc.build import mypycify

        found: list[Extension] = mypycify(
            [
                "--config-file=",
                # What is compiled is checked; what it leads to (the front door knows all rooms) may
                # need packages that are not here.
                "--ignore-missing-imports",
                "--follow-imports=silent",
                *compiled_sources(),
            ],
            opt_level=SETTINGS["opt-level"],
            debug_level="0",
            group_name="thplab",
            # A C file for each module: together they compile in a third of the time of one large
            # file on two processors, and run as fast within a tenth.
            multi_file=True,
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - mypyc reports type errors by exiting
        fall_back(f"mypyc: {error!r}")
        return []
    for extension in found:
        for source in extension.sources:
            leave_out_trashcan(source)
        extension.extra_compile_args = [*extension.extra_compile_args, *SETTINGS["c-flags"]]
    return found


class BuildAllOrNothing(build_ext):  # type: ignore[misc]  # setuptools has no types
    """build_ext that leaves no extension behind when one of them fails.

    The small modules import the big one: half a build would not even import.
    """

    def run(self) -> None:
        """Compile, or clean up and go on with the source."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - compilers fail in many ways
            fall_back(str(error).splitlines()[0] if str(error) else repr(error))
            for output in self.get_outputs():
                Path(output).unlink(missing_ok=True)
            self.extensions: list[Any] = []
            self.distribution.ext_modules = []

    def build_extensions(self) -> None:
        """Compile the sources of an extension side by side."""
        compile_some = self.compiler.compile

        def compile_all(sources: list[str], **options: object) -> list[str]:
            # The first makes the folders that the others then find.
            objects: list[str] = compile_some(sources[:1], **options)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                jobs = [pool.submit(compile_some, [path], **options) for path in sources[1:]]
            return [*objects, *(path for job in jobs for path in job.result())]

        self.compiler.compile = compile_all
        super().build_extensions()


setup(
    # The library of scenarios stands at the top of the source tree, and inside the package when
    # installed: see thplab.scenario.library.
    packages=[*find_packages("src"), "thplab.library"],
    package_dir={"": "src", "thplab.library": "scenarios"},
    package_data={
        "thplab": ["py.typed", "explorer/findings/*.toml", "explorer/findings/*.c"],
        "thplab.library": ["*.toml"],
    },
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildAllOrNothing},
)
