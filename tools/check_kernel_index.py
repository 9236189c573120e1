# SPDX-License-Identifier: GPL-2.0-only
"""Look in a kernel's source for each function that the index says is there.

    python tools/check_kernel_index.py [TREE]

TREE, or the environment variable THPLAB_LINUX_SOURCE, is a folder of unpacked source (Debian: the package
linux-source-7.3). Functions of other releases than the tree's are set aside, and counted. Exit status: 0 all
others are there, 1 some are not, 2 there is no tree, 3 none was named.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from pathlib import Path

from kernel_index import Row, rows

VARIABLE = "THPLAB_LINUX_SOURCE"
FOUND, MISSING, NO_TREE, SKIPPED = 0, 1, 2, 3


def release_of(tree: Path) -> tuple[int, int]:
    """VERSION and PATCHLEVEL of the Makefile.

    Raises:
        OSError, LookupError: it is no kernel's.
    """
    text = (tree / "Makefile").read_text(encoding="utf-8")
    fields = dict(re.findall(r"^(\w+) *= *(\d+)$", text, re.MULTILINE))
    return int(fields["VERSION"]), int(fields["PATCHLEVEL"])


def number(release: str) -> tuple[int, int]:
    """The numbers of "7.2", which compare."""
    version, _, level = release.partition(".")
    return int(version), int(level)


def aside(release: str, tree: tuple[int, int]) -> str:
    """Why a function of this release need not be in the tree; "" if it must be there."""
    if release == "as posted":
        return "never released"
    first, _, last = release.partition(" to ")
    if tree < number(first):
        return f"newer: {release}"
    if last and tree > number(last):
        return f"older: {release}"
    return ""


def is_defined(name: str, text: str) -> bool:
    """Whether a file defines the function, as C, as a macro, or as a system call."""
    if name.endswith("(2)"):
        return re.search(rf"SYSCALL_DEFINE\d\({re.escape(name[:-3])}\b", text) is not None
    bare = re.escape(name.removesuffix("()"))
    if re.search(rf"^#\s*define\s+{bare}\b", text, re.MULTILINE):
        return True
    flag = re.fullmatch(r"folio_(?:test|set|clear)_(\w+)", bare)
    if flag and re.search(rf"^FOLIO_FLAG\({flag[1]}\b", text, re.MULTILINE):
        return True
    # From the first column to a brace. In a call, a colon, a brace or a semicolon stands before the name.
    head = rf"^[A-Za-z_][^;:{{}}=#]*?\b{bare}\([^;{{}}]*\)[\s\w(),]*\{{"
    return re.search(head, text, re.MULTILINE) is not None


def problem(row: Row, tree: Path) -> str:
    """What is wrong with a row in this tree, or ""."""
    path = tree / row.source.file
    if not path.is_file():
        return f"{row.source.file} is not in the tree"
    text = path.read_text(encoding="utf-8", errors="replace")
    return "" if is_defined(row.name, text) else f"{row.source.file} does not define it"


def main(arguments: list[str]) -> int:
    """Check the index against a tree. Returns the exit status."""
    named = arguments[0] if arguments else os.environ.get(VARIABLE, "")
    if not named:
        print(f"skipped: no kernel source to look in; set {VARIABLE} to an unpacked tree")
        return SKIPPED
    tree = Path(named)
    try:
        release = release_of(tree)
    except (OSError, LookupError):
        print(
            f"{tree} is not the source of a kernel: it has no Makefile with a release",
            file=sys.stderr,
        )
        return NO_TREE
    reasons: Counter[str] = Counter()
    checked = 0
    missing = []
    for row in rows():
        reason = aside(row.source.release, release)
        if reason:
            reasons[reason] += 1
            continue
        checked += 1
        wrong = problem(row, tree)
        if wrong:
            missing.append(f"{row.module}: {row.place} stands for {row.name}, but {wrong}")
    print("\n".join(missing) + ("\n" if missing else ""), end="")
    print(f"{release[0]}.{release[1]}: {checked} names looked for, {len(missing)} not there")
    for reason, count in sorted(reasons.items()):
        print(f"set aside, {reason}: {count}")
    return MISSING if missing else FOUND


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
