# SPDX-License-Identifier: GPL-2.0-only
"""`thplab verify SCENARIO... --kernel IMAGE`: the model held against real kernels."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

import msgspec

from thplab.backends import model, vm
from thplab.backends.errors import KernelRunError
from thplab.backends.guest import memory_shortage
from thplab.cli.kernel_runs import add_time_limit, note
from thplab.cli.output import check_writable, write_text
from thplab.cli.scenario_argument import find_scenario
from thplab.compare.tolerances import Judgement
from thplab.compare.verify import Verification, not_verified, verify
from thplab.scenario.library import library_files
from thplab.scenario.loader import load
from thplab.scenario.schema import Scenario

__all__ = ["configure", "execute"]

_SHOWN = 40
_KINDS: tuple[tuple[Judgement, str], ...] = (
    ("equal", "equal"),
    ("within", "within tolerance"),
    ("different", "different"),
    ("incomparable", "not comparable"),
    ("unseen", "seen by one only"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help="files, or names of the library's scenarios; none: the whole library",
    )
    parser.add_argument(
        "--kernel",
        dest="kernels",
        action="append",
        required=True,
        metavar="IMAGE",
        help="a kernel image, or debian:6.12; may be given several times",
    )
    add_time_limit(parser)
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="show each figure with its rule, not only those that differ",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to FILE, whole or not at all")


def execute(options: argparse.Namespace) -> int:
    """Run the scenarios on both, and say how they agree; 1 if they do not."""
    if options.scenarios:
        scenarios = [find_scenario(name) for name in options.scenarios]
    else:
        scenarios = _library()
    check_writable(options.output)
    verifications: list[Verification] = []
    for kernel in options.kernels:
        found = _verify_on(scenarios, kernel, options.time_limit)
        verifications.extend(found)
        if options.format == "table" and options.output is None:
            sys.stdout.write(_text(found, everything=options.everything))
            sys.stdout.flush()
    if options.format == "json":
        text = msgspec.json.format(msgspec.json.encode(verifications)).decode() + "\n"
        write_text(options.output, text)
    elif options.output is not None:
        write_text(options.output, _text(verifications, everything=options.everything))
    return 1 if any(verification.failed for verification in verifications) else 0


def _library() -> list[Scenario]:
    """The library, without the scenarios that this machine has no room for; those are named."""
    fitting = []
    for path in library_files():
        scenario = load(path)
        shortage = memory_shortage(scenario.host)
        if shortage:
            note(f"not run: {scenario.name}: {shortage}")
        else:
            fitting.append(scenario)
    return fitting


def _verify_on(
    scenarios: Sequence[Scenario], kernel: str, time_limit: float | None
) -> list[Verification]:
    note(f"{len(scenarios)} scenarios on {kernel} ...", only_if_watched=True)
    verifications = []
    for scenario, run in zip(scenarios, vm.run_each(scenarios, kernel, time_limit), strict=True):
        if isinstance(run, KernelRunError):
            verifications.append(not_verified(scenario, kernel, str(run)))
        else:
            model_run = model.run(scenario, run.design, traits=run.traits)
            verifications.append(verify(scenario, model_run, run))
    return verifications


def _text(verifications: Iterable[Verification], *, everything: bool) -> str:
    lines: list[str] = []
    for one in verifications:
        counts = one.counts
        summary = ", ".join(f"{counts[kind]} {words}" for kind, words in _KINDS if counts[kind])
        verdict = "FAILED" if one.failed else "agrees"
        design = f" ({one.design})" if one.design else ""
        lines.append(
            f"{verdict}  {one.scenario} on {one.kernel}{design}: {summary or 'no figures'}"
        )
        shown = one.figures if everything else one.differences[:_SHOWN]
        for figure in shown:
            values = f"model {_value(figure.model)}, kernel {_value(figure.kernel)}"
            words = dict(_KINDS)[figure.judgement]
            lines.append(f"    {figure.moment}: {figure.figure}: {values}: {words} ({figure.why})")
        if not everything and len(one.differences) > _SHOWN:
            lines.append(f"    and {len(one.differences) - _SHOWN} more; --all shows them")
        lines.extend(f"    claim failed: {claim}" for claim in one.failed_claims)
        lines.extend(f"    warning: {warning}" for warning in one.warnings)
        if everything:
            lines.extend(f"    note: {note}" for note in one.notes)
    return "\n".join(lines) + "\n" if lines else ""


def _value(value: int | None) -> str:
    return "-" if value is None else str(value)
