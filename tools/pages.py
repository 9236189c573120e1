# SPDX-License-Identifier: GPL-2.0-only
"""Write what the documentation repeats of the source: whole pages, and blocks in hand-written pages.

A block stands between two lines of its page, and its name says who writes it:

    <!-- generated: steps -->
    <!-- end of steps -->

A generator is a function without arguments that returns Markdown.

    python tools/pages.py           rewrites the pages that are stale
    python tools/pages.py --check   names them; the exit status is 1 if there are any
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "make pages"

PAGES = {
    "docs/kernel-index.md": "kernel_index:page",
}

BLOCKS = {
    "counters": "reference:counter_table",
    "designs": "reference:design_table",
    "differences": "reference:difference_table",
    "figures": "reference:figure_table",
    "findings": "thplab.report.findings:finding_page",
    "make-targets": "make_targets:table",
    "parts": "reference:part_table",
    "releases": "reference:release_table",
    "steps": "reference:step_table",
    "tunables": "reference:tunable_table",
    "verified-kernels": "verified:kernel_table",
    "verified-library": "verified:library_table",
    "verified-random": "verified:series_table",
    "verified-summary": "verified:summary_table",
}

MARKER = re.compile(r"^[ \t]*<!--\s*(?:generated|end of)\b.*$", re.MULTILINE)
WELL_FORMED = re.compile(r"<!-- (generated:|end of) ([a-z][a-z0-9-]*) -->")


class PageError(Exception):
    """A page and the generators do not fit together; says which, and what would be right."""


def generator(place: str) -> Callable[[], str]:
    """The function that "module:function" names."""
    module, _, function = place.partition(":")
    found: Callable[[], str] = getattr(import_module(module), function)
    return found


def blocks_of(page: str, text: str) -> list[tuple[str, int, int]]:
    """The blocks of a page: the name of each, and where its content begins and ends.

    Raises:
        PageError: a marker is malformed, or has no partner.
    """
    found = []
    opened: tuple[str, int] | None = None
    for marker in MARKER.finditer(text):
        match = WELL_FORMED.fullmatch(marker[0])
        line = text.count("\n", 0, marker.start()) + 1
        if match is None:
            raise PageError(
                f"{page}:{line}: {marker[0].strip()!r} is not a marker; write"
                " <!-- generated: NAME --> or <!-- end of NAME -->, alone on its line"
            )
        kind, name = match.groups()
        if kind == "generated:":
            if opened is not None:
                raise PageError(f"{page}:{line}: {name} begins before {opened[0]} has ended")
            opened = name, marker.end() + 1
        elif opened is None or opened[0] != name:
            raise PageError(f"{page}:{line}: {name} ends, but has not begun")
        else:
            found.append((name, opened[1], marker.start()))
            opened = None
    if opened is not None:
        raise PageError(
            f"{page}: {opened[0]} begins, but never ends: add <!-- end of {opened[0]} -->"
        )
    return found


def filled(page: str, text: str, contents: Mapping[str, str]) -> str:
    """The text of a page with each block as it should be.

    Raises:
        PageError: as for `blocks_of()`, or nobody generates a block.
    """
    pieces = []
    end = 0
    for name, begin, until in blocks_of(page, text):
        if name not in contents:
            raise PageError(f"{page}: nobody generates {name}; the blocks are {sorted(contents)}")
        pieces += [text[end:begin], contents[name].strip("\n"), "\n"]
        end = until
    return "".join([*pieces, text[end:]])


def stale(root: Path, pages: Mapping[str, str], blocks: Mapping[str, str]) -> dict[Path, str]:
    """The pages below `root` that are not as the generators have them, with what they should be.

    Args:
        root: the folder of the project.
        pages: the text of each whole page, by its path below `root`.
        blocks: the text of each block, by its name.

    Raises:
        PageError: as for `filled()`, or no page has a block that is generated.
    """
    wanted = {root / path: text.strip("\n") + "\n" for path, text in pages.items()}
    unused = set(blocks)
    for path in sorted({*root.glob("*.md"), *(root / "docs").glob("*.md")} - set(wanted)):
        page, text = str(path.relative_to(root)), path.read_text(encoding="utf-8")
        wanted[path] = filled(page, text, blocks)
        unused -= {name for name, _, _ in blocks_of(page, text)}
    if unused:
        raise PageError(f"no page has a place for {sorted(unused)}")
    return {
        path: text
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def stale_pages() -> dict[Path, str]:
    """The stale pages of this project, with what they should be."""
    pages = {path: generator(place)() for path, place in PAGES.items()}
    blocks = {name: generator(place)() for name, place in BLOCKS.items()}
    return stale(ROOT, pages, blocks)


def main() -> int:
    """Write the stale pages, or name them."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing, name what is stale")
    check: bool = parser.parse_args().check
    try:
        found = stale_pages()
    except PageError as error:
        print(error, file=sys.stderr)
        return 2
    for path, text in found.items():
        print(f"{path.relative_to(ROOT)}: {f'stale, run {COMMAND}' if check else 'rewritten'}")
        if not check:
            beside = path.with_name(path.name + ".new")
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
