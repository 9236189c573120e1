# SPDX-License-Identifier: GPL-2.0-only
"""Hold the branch coverage of each measured package against the threshold in pyproject.toml.

coverage.py's own threshold is about lines and branches together; ours is about branches.

    coverage json; python tools/branch_coverage.py .branches.json
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import defaultdict
from pathlib import Path


def package_of(path: str, packages: list[str]) -> str | None:
    """The measured package that a file belongs to."""
    dotted = path.removesuffix(".py").replace("/", ".")
    return next((name for name in packages if f".{name}." in f".{dotted}."), None)


def main() -> int:
    """Print a line for each package; status 1 if one is below the threshold or was not measured."""
    settings = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["coverage"]
    packages: list[str] = settings["run"]["source_pkgs"]
    wanted: float = settings["report"]["fail_under"]
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    covered: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    for path, entry in report["files"].items():
        package = package_of(path, packages)
        if package is not None:
            covered[package] += entry["summary"]["covered_branches"]
            total[package] += entry["summary"]["num_branches"]
    status = 0
    for package in packages:
        if not total[package]:
            print(f"{package}: no branch was measured")
            status = 1
            continue
        percent = 100 * covered[package] / total[package]
        enough = percent >= wanted
        print(
            f"{package}: {percent:.1f} % of {total[package]} branches covered"
            f"{'' if enough else f', {wanted} % wanted'}"
        )
        if not enough:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
