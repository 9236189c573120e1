# SPDX-License-Identifier: GPL-2.0-only
"""The verb about what the explorer found: findings."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from thplab.cli.options import add_output_option, add_time_limit, note
from thplab.cli.output import check_writable, write_text
from thplab.errors import InputError

if TYPE_CHECKING:
    from thplab.explorer.findings import Finding

__all__ = ["Findings"]


class Findings:
    """`thplab findings`: list what the explorer found; show one; see one on a kernel."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        parser.add_argument(
            "words",
            nargs="*",
            metavar="show NAME | confirm NAME",
            help="print all of one finding: schedule, releases, what a kernel showed, the program; or look for "
            "one on a kernel, while BPF programs hold its window open",
        )
        parser.add_argument(
            "--kernel",
            metavar="IMAGE",
            help="confirm: the kernel, an image file or debian:6.12, in a virtual machine",
        )
        add_time_limit(parser)
        parser.add_argument("--format", choices=("table", "json"), help="confirm: (default: table)")
        add_output_option(parser)

    def execute(self, options: argparse.Namespace) -> int:
        """List them, show one, or confirm one: then 0 if the kernel has it, 1 if it was not seen."""
        match options.words:
            case ["confirm", name]:
                return _confirm(name, options)
            case [] | ["show", _]:
                _refuse_options(options)
            case _:
                raise InputError(
                    "thplab findings: give nothing, or `show` or `confirm` and the name of one finding"
                )
        from thplab.explorer.findings import finding_named
        from thplab.report.findings import finding_lines, finding_text

        if not options.words:
            print(finding_lines())
            return 0
        from thplab.explorer.session import require_greenlet

        require_greenlet()
        print(finding_text(finding_named(options.words[1])))
        return 0


def _refuse_options(options: argparse.Namespace) -> None:
    for name in ("kernel", "time_limit", "format", "output"):
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"thplab findings: {option} belongs to `thplab findings confirm NAME`")


def _confirm(name: str, options: argparse.Namespace) -> int:
    from thplab.agent.confirm.sight import Request
    from thplab.backends.confirm import confirm
    from thplab.explorer.findings import finding_named
    from thplab.report.findings import sight_json, sight_text

    finding = finding_named(name)
    if not finding.probe:
        raise InputError(_why_not(finding))
    if options.kernel is None:
        raise InputError(
            f"thplab findings confirm {finding.name}: say on which kernel, --kernel IMAGE"
        )
    check_writable(options.output)
    note(f"booting {options.kernel} ...", only_if_watched=True)
    request = Request(name=finding.name, designs=finding.designs)
    sight = confirm(request, options.kernel, options.time_limit)
    write_text(options.output, sight_json(sight) if options.format == "json" else sight_text(sight))
    return 0 if sight.seen else 1


def _why_not(finding: Finding) -> str:
    if finding.status != "confirmed":
        why = f"it is {finding.verdict()}"
    elif finding.check == "oops":
        why = (
            "it brings the kernel down, and thplab has no program that does so to a kernel as it is released; "
            f"`thplab findings show {finding.name}` has the program and the change of a kernel that you build"
        )
    else:
        why = (
            f"no probe holds its window; `thplab findings show {finding.name}` has the change of a kernel that "
            "you build"
        )
    return f"thplab findings confirm {finding.name}: {why}"
