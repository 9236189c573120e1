# SPDX-License-Identifier: GPL-2.0-only
"""The verbs about interleavings: explore, bugs."""

from __future__ import annotations

import argparse
import time

from thplab.errors import InputError

__all__ = ["Bugs", "Explore"]


class Explore:
    """`thplab explore [CASE...]`: search the interleavings of the standard cases on a design."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        from thplab.explorer.session import STRATEGIES

        parser.add_argument(
            "cases",
            nargs="*",
            metavar="CASE",
            help="a standard case, or the number of a bug (default: all standard cases; see --list)",
        )
        parser.add_argument("--list", action="store_true", help="list the cases")
        parser.add_argument(
            "--design",
            metavar="DESIGN",
            help="a design by name, or file.py:Class (default: list_lru)",
        )
        parser.add_argument(
            "--strategy", choices=STRATEGIES, default="exhaustive", help="(default: %(default)s)"
        )
        parser.add_argument(
            "--bound",
            type=_count,
            default=2,
            metavar="N",
            help="exhaustive: up to N preemptions (default: 2)",
        )
        parser.add_argument(
            "--executions",
            type=_count,
            default=0,
            metavar="N",
            help="stop a case after N executions",
        )
        parser.add_argument(
            "--seconds", type=float, default=0.0, metavar="S", help="stop a case after S seconds"
        )
        parser.add_argument(
            "--seed", type=int, default=0, metavar="N", help="random, pct: the seed"
        )
        parser.add_argument(
            "--jobs",
            type=_count,
            default=1,
            metavar="N",
            help="exhaustive: processes that share the work",
        )
        parser.add_argument(
            "--checkpoint",
            metavar="FILE",
            help="exhaustive, one case: continue from FILE if it exists, and write it at the end of the budget",
        )
        parser.add_argument(
            "--states", action="store_true", help="exhaustive: count the distinct final states"
        )
        parser.add_argument("--replay", metavar="ID", help="repeat a failure exactly")
        parser.add_argument(
            "--no-trace", action="store_true", help="do not print the trace of a failure"
        )

    def execute(self, options: argparse.Namespace) -> int:
        """Search; print a line for each case, and the trace of each failure.

        Status 1 if a case failed in a way that is no known finding, or has lost a finding that is known.
        """
        from thplab.explorer.session import cases_for, require_greenlet, search

        require_greenlet()
        from thplab.explorer.findings import is_missing, known_finding
        from thplab.report.exploration import case_list, failure_text, verdict_line
        from thplab.report.findings import known_line, missing_line

        if options.list:
            print(case_list())
            return 0
        if options.replay is not None:
            return _replay(options)
        cases = cases_for(options.cases, options.design or "")
        if options.checkpoint and (len(cases) != 1 or options.strategy != "exhaustive"):
            raise InputError("--checkpoint: give one case, and the exhaustive strategy")
        if options.checkpoint and options.jobs > 1:
            raise InputError(
                "--checkpoint: a search by several processes (--jobs) cannot keep one; use one of the two"
            )
        status = 0
        for case in cases:
            verdict = search(
                case,
                bound=options.bound,
                strategy=options.strategy,
                executions=options.executions,
                seconds=options.seconds,
                seed=options.seed,
                jobs=options.jobs,
                states=options.states,
                checkpoint=options.checkpoint,
            )
            print(verdict_line(verdict), flush=True)
            if verdict.report is not None:
                print(failure_text(verdict.report, trace=not options.no_trace))
                known = known_finding(case.name, case.design_name, verdict.report.failure)
                if known is not None:
                    print(known_line(known))
                else:
                    status = 1
            missing = is_missing(case.name, case.design_name, verdict)
            if missing is not None:
                print(missing_line(missing))
                status = 1
        return status


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _replay(options: argparse.Namespace) -> int:
    from thplab.explorer.session import replay
    from thplab.report.exploration import failure_text

    if len(options.cases) > 1:
        raise InputError("--replay: the id names its case; give at most that one")
    name = options.cases[0] if options.cases else None
    found = replay(options.replay, name, options.design)
    if found is None:
        print("the schedule does not fail here")
        return 0
    print(failure_text(found, trace=not options.no_trace))
    return 1


class Bugs:
    """`thplab bugs [show ID]`: find every bug of the corpus again, and none in the fixed code."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        parser.add_argument(
            "words",
            nargs="*",
            metavar="[show] ID",
            help="only these bugs; `show B06` prints the shortest failing schedule of one",
        )

    def execute(self, options: argparse.Namespace) -> int:
        """Search the corpus, or show one bug. Status 1 if a search misses a bug, or finds one in fixed code."""
        from thplab.explorer.session import require_greenlet

        require_greenlet()
        from thplab.explorer.corpus import CORPUS, bug_named
        from thplab.explorer.corpus.search import search_bug
        from thplab.report.exploration import (
            bug_heading,
            bug_line,
            bug_with_schedule,
            corpus_summary,
        )

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
