# SPDX-License-Identifier: GPL-2.0-only
"""Make a virtual environment with pip, by whatever means this machine has.

Debian and Ubuntu split Python: the venv module may be there without ensurepip, or not at all.
It runs on Pythons too old for thplab, to be able to say so.

    python3 tools/make_venv.py .venv
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)


def attempts(python: str, folder: str) -> list[list[list[str]]]:
    """Ways to do it, best first: each a list of commands that must all succeed."""
    ways = [
        [[python, "-m", "venv", folder]],
        [[python, "-m", "virtualenv", "--quiet", folder]],
    ]
    if shutil.which("virtualenv"):
        ways.append([["virtualenv", "--quiet", "--python", python, folder]])
    if shutil.which("uv"):
        ways.append([["uv", "venv", "--quiet", "--seed", "--python", python, folder]])
    inside = str(Path(folder, "bin", "python"))
    ways.append(
        [
            [python, "-m", "venv", "--without-pip", folder],
            [python, "-m", "pip", "--quiet", "--python", inside, "install", "pip"],
        ]
    )
    return ways


def succeeds(command: list[str]) -> bool:
    """Run the command quietly."""
    quiet = subprocess.DEVNULL
    return subprocess.run(command, stdout=quiet, stderr=quiet, check=False).returncode == 0


def main() -> int:
    """Make the environment that the first argument names, from the Python that runs this."""
    version = ".".join(str(number) for number in sys.version_info[:2])
    if sys.version_info < OLDEST:
        print(
            f"thplab needs Python 3.11 or later, and {sys.executable} is {version};",
            file=sys.stderr,
        )
        print("name another: make PYTHON=python3.12 demo", file=sys.stderr)
        return 2
    folder = sys.argv[1]
    for commands in attempts(sys.executable, folder):
        shutil.rmtree(folder, ignore_errors=True)
        if all(succeeds(command) for command in commands):
            return 0
    shutil.rmtree(folder, ignore_errors=True)
    package = f"python{version}-venv"
    print(f"this Python ({sys.executable}) cannot make a virtual environment;", file=sys.stderr)
    print(f"install the package {package}: sudo apt-get install {package}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
