# SPDX-License-Identifier: GPL-2.0-only
"""Repeat a schedule on the interpreted source, and print its trace.

Compiled functions leave no Python frames, and the trace needs those to name the kernel functions.
So where the model is compiled, a trace is made by another process: `python -m
thplab.explorer.interpreted`, which reads a replay id and prefers the source that is installed beside
each compiled module. Both are the same code: a schedule means the same in both.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

__all__ = ["SourceFinder", "is_compiled", "main", "trace_of"]


class SourceFinder:
    """Finds the .py of every module of thplab, compiled or not."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See importlib.abc.MetaPathFinder."""
        if not name.startswith("thplab.") or path is None:
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, [".py"])).find_spec(name, target)
            if spec is not None:
                return spec
        return None


def is_compiled() -> bool:
    """Whether this process runs the compiled model."""
    from thplab.cpu import hook

    return not str(hook.__file__).endswith(".py")


def trace_of(replay_id: str, width: int) -> str:
    """The trace of a replay id, as text, made by an interpreting process.

    Raises:
        InputError: that process could not make it.
    """
    from thplab.errors import InputError

    done = subprocess.run(
        [sys.executable, "-m", "thplab.explorer.interpreted", str(width)],
        input=replay_id,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise InputError(f"the trace could not be made: {last[0]}")
    return done.stdout


def main() -> int:
    """Read an id from standard input, print the trace; the first argument is a column's width."""
    sys.meta_path.insert(0, SourceFinder)
    from thplab.errors import ThplabError
    from thplab.explorer.session import replay
    from thplab.explorer.trace import render

    try:
        found = replay(sys.stdin.read(), None, None)
    except ThplabError as error:
        print(error, file=sys.stderr)
        return 2
    if found is None:
        print("the schedule does not fail here", file=sys.stderr)
        return 2
    sys.stdout.write(render(found.trace, int(sys.argv[1])) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
