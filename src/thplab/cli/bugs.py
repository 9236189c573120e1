# SPDX-License-Identifier: GPL-2.0-only
"""`thplab bugs [show ID]`: find every bug of the corpus again, and see that the fixed code is clean."""

from __future__ import annotations

import argparse
import time

from thplab.errors import InputError

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
    from thplab.explore.corpus import CORPUS, bug_named
    from thplab.explore.corpus.search import search_bug
    from thplab.report.exploration import bug_heading, bug_line, bug_with_schedule, corpus_summary

    words: list[str] = options.words
    if words and words[0] == "show":
        if len(words) != 2:
            raise InputError("thplab bugs show: give the number of one bug, like B06")
        bug = bug_named(words[1])
        result = search_bug(bug)
        print(bug_with_schedule(bug, result))
        return 0 if result.as_expected else 1
    chosen = [bug_named(word) for word in words] or list(CORPUS)
    started = time.monotonic()
    failed = []
    print(bug_heading())
    for bug in chosen:
        result = search_bug(bug)
        print(bug_line(bug, result), flush=True)
        if not result.as_expected:
            failed.append(bug.id)
    print(corpus_summary(failed, len(chosen), time.monotonic() - started))
    return 1 if failed else 0
