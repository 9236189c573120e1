# SPDX-License-Identifier: GPL-2.0-only
"""Say whether the installed thplab is compiled and, if it is not, why.

Exit status 0: compiled. 3: it runs interpreted, since this machine cannot compile it.
1: it could have been compiled, and was not.

    python tools/build_state.py [--say]

With --say it only says so, and the status is 0.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

COMPILED, BROKEN, INTERPRETED = 0, 1, 3


def what_is_missing() -> str:
    """What this machine lacks to compile a C extension, with the package that has it; or ""."""
    compiler = os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc")
    if shutil.which(shlex.split(compiler)[0]) is None:
        return f"there is no C compiler ({compiler}); Debian and Ubuntu have it in the package gcc"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        return f"there is no {header}; Debian and Ubuntu have it in the package python3-dev"
    if not any(
        Path(folder, "limits.h").exists() for folder in ("/usr/include", "/usr/local/include")
    ):
        return "there are no C library headers; Debian and Ubuntu have them in libc6-dev"
    return ""


def main() -> int:
    """Look at a module of the lowest floor: all are compiled, or none."""
    spec = find_spec("thplab") and find_spec("thplab.cpu.hook")
    origin = str(spec.origin) if spec else ""
    if not origin:
        print("thplab is not installed", file=sys.stderr)
        return BROKEN
    if origin.endswith(".so"):
        print("thplab is compiled")
        return COMPILED
    missing = what_is_missing()
    if missing:
        print(f"thplab runs interpreted, about 10 times slower: {missing}")
        return INTERPRETED
    print("thplab runs interpreted, though it could be compiled: `make build` shows the error")
    return BROKEN


if __name__ == "__main__":
    status = main()
    sys.exit(0 if sys.argv[1:] == ["--say"] else status)
