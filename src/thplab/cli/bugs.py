# SPDX-License-Identifier: GPL-2.0-only
"""`thplab bugs [show ID]`: find every bug of the corpus again, and see that the fixed code is clean."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from thplab.errors import InputError

if TYPE_CHECKING:
    from thplab.explore.corpus import Bug

__all__ = ["configure", "execute"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="[show] ID",
        help="only these bugs; `show B06` prints the shortest failing schedule of one",
    )


def execute(options: argparse.Namespace) -> int:
    """Run the corpus, or show one bug. 1 if a bug was not found, or its fix is not clean."""
    from thplab.explore.session import require_greenlet

    require_greenlet()
    words: list[str] = options.words
    if words and words[0] == "show":
        if len(words) != 2:
            raise InputError("thplab bugs show: give the number of one bug, like B06")
        return _show(words[1])
    from thplab.explore.corpus import CORPUS, bug_named

    chosen = [bug_named(word) for word in words] if words else list(CORPUS)
    started = time.monotonic()
    print(f"{'':4} {'bug':{_TITLE}} {'found by':15} {'runs':>6} {'s':>5} {'steps':>5}  fixed code")
    failed = [bug.id for bug in chosen if not _run(bug)]
    found = len(chosen) - len(failed)
    print(
        f"{found} of {len(chosen)} found, and their fixes clean, in {time.monotonic() - started:.0f} s"
    )
    if failed:
        print(f"NOT as expected: {', '.join(failed)}")
    return 1 if failed else 0


_TITLE = 58


def _run(bug: Bug) -> bool:
    from thplab.explore.corpus.search import search_bug

    result = search_bug(bug)
    failure = result.shortest
    by = failure.check if failure is not None else "NOT FOUND"
    if failure is not None and failure.check not in bug.checks:
        by = f"{by} (!)"
    steps = len(failure.schedule) if failure is not None else 0
    title = bug.title if len(bug.title) <= _TITLE else bug.title[: _TITLE - 3] + "..."
    fixed = result.fixed
    clean = (
        f"clean, {fixed.coverage()}" if fixed.failure is None else f"FAILS: {fixed.failure.text()}"
    )
    print(
        f"{bug.id:4} {title:{_TITLE}} {by:15} {result.broken.executions:6} {result.broken.seconds:5.1f} "
        f"{steps:5}  {clean} ({fixed.executions} runs)",
        flush=True,
    )
    return result.as_expected


def _show(number: str) -> int:
    from thplab.explore.corpus import bug_named
    from thplab.explore.corpus.search import search_bug
    from thplab.explore.session import report
    from thplab.explore.show import show_report

    bug = bug_named(number)
    result = search_bug(bug)
    print(f"{bug.id}: {bug.title} ({bug.versions})\n{bug.about}\n")
    if result.shortest is None:
        print("NOT FOUND")
        return 1
    print(show_report(report(bug.broken, result.shortest, shrink=False)))
    return 0
