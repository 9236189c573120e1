# SPDX-License-Identifier: GPL-2.0-only
"""Print what thplab with an extra needs, one requirement a line, for pip install -r.

`pip install thplab[test]` would build thplab again; this does not.

    python tools/extras.py test
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

OURS = re.compile(r"thplab\[(\w+)\]")


def requirements(extra: str, extras: dict[str, list[str]]) -> list[str]:
    """The requirements of `extra`, with those of the extras of ours that it names."""
    found: list[str] = []
    for requirement in extras[extra]:
        ours = OURS.fullmatch(requirement)
        found += requirements(ours[1], extras) if ours else [requirement]
    return found


def main() -> int:
    """Print them for the extra that the first argument names."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = requirements(sys.argv[1], project["optional-dependencies"])
    print("\n".join([*project["dependencies"], *extra]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
