# SPDX-License-Identifier: GPL-2.0-only
"""`thplab explore [CASE...]`: search the interleavings of the standard cases on a design."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from thplab.errors import InputError

if TYPE_CHECKING:
    from thplab.explore.cases.machine_world import MachineCase
    from thplab.explore.strategies import Strategy
    from thplab.explore.verdict import Verdict

__all__ = ["configure", "execute"]

STRATEGIES = ("exhaustive", "random", "pct")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "cases",
        nargs="*",
        metavar="CASE",
        help="a standard case, or the number of a bug (default: all standard cases; see --list)",
    )
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument(
        "--design", metavar="DESIGN", help="a design by name, or file.py:Class (default: list_lru)"
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
        "--executions", type=_count, default=0, metavar="N", help="stop a case after N executions"
    )
    parser.add_argument(
        "--seconds", type=float, default=0.0, metavar="S", help="stop a case after S seconds"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random, pct: the seed")
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
        help="exhaustive, one case: go on from FILE if it is there, and write to it when the budget is spent",
    )
    parser.add_argument(
        "--states", action="store_true", help="exhaustive: count the distinct final states"
    )
    parser.add_argument("--replay", metavar="ID", help="repeat a failure exactly")
    parser.add_argument(
        "--no-trace", action="store_true", help="do not print the trace of a failure"
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def execute(options: argparse.Namespace) -> int:
    """Search, print a line for each case, and the trace of each failure. 1 if anything failed."""
    from thplab.explore.session import require_greenlet

    require_greenlet()
    if options.list:
        return _list()
    if options.replay is not None:
        return _replay(options)
    design = options.design or "list_lru"
    cases = _cases(options.cases, design)
    if options.checkpoint and (len(cases) != 1 or options.strategy != "exhaustive"):
        raise InputError("--checkpoint: give one case, and the exhaustive strategy")
    if options.checkpoint and options.jobs > 1:
        raise InputError(
            "--checkpoint: several processes (--jobs) keep none; leave one of the two out"
        )
    status = 0
    for case in cases:
        verdict = _search(case, options)
        status = max(status, _show(case, verdict, trace=not options.no_trace))
    return status


def _list() -> int:
    from thplab.explore.cases.standard import CASES

    width = max(len(case.name) for case in CASES)
    for case in CASES:
        print(f"{case.name:{width}}  {case.summary}")
    print("\nEach bug is a case too, B06, and so is the code without it, B06-fixed: `thplab bugs`.")
    return 0


def _cases(names: list[str], design: str) -> list[MachineCase]:
    from thplab.explore.cases.standard import CASES
    from thplab.explore.session import case_for

    return [case_for(name, design) for name in names or [case.name for case in CASES]]


def _search(case: MachineCase, options: argparse.Namespace) -> Verdict:
    from thplab.explore.verdict import Budget

    budget = Budget(options.executions, options.seconds)
    if options.strategy == "exhaustive" and options.jobs > 1:
        from thplab.explore.strategies.shared import Shared

        return Shared(options.bound, options.jobs).search(case, budget)
    return _strategy(options).search(case, budget)


def _strategy(options: argparse.Namespace) -> Strategy:
    from thplab.explore.strategies.exhaustive import Exhaustive
    from thplab.explore.strategies.pct import Pct
    from thplab.explore.strategies.random_walk import RandomWalk

    if options.strategy == "random":
        return RandomWalk(options.seed)
    if options.strategy == "pct":
        return Pct(options.seed)
    return Exhaustive(
        options.bound,
        hash_states=options.states,
        checkpoint=options.checkpoint,
    )


def _show(case: MachineCase, verdict: Verdict, *, trace: bool) -> int:
    failure = verdict.failure
    line = f"{case.name}: {verdict.executions} executions in {verdict.seconds:.1f} s"
    if failure is None:
        print(f"{line}, no failure: {verdict.coverage()}", flush=True)
        return 0
    print(f"{line}, FAILED: {failure.check}", flush=True)
    from thplab.explore.session import report
    from thplab.explore.show import show_report

    print(show_report(report(case, failure), trace=trace))
    return 1


def _replay(options: argparse.Namespace) -> int:
    from thplab.explore.session import replay
    from thplab.explore.show import show_report

    if len(options.cases) > 1:
        raise InputError("--replay: the id names its case; give at most that one")
    name = options.cases[0] if options.cases else None
    found = replay(options.replay, name, options.design)
    if found is None:
        print("the schedule does not fail here")
        return 0
    print(show_report(found, trace=not options.no_trace))
    return 1
