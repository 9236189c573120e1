# SPDX-License-Identifier: GPL-2.0-only
"""The verb about what the explorer found: findings."""

from __future__ import annotations

import argparse

from thplab.errors import InputError

__all__ = ["Findings"]


class Findings:
    """`thplab findings`: list what the explorer found; show one; see one on a kernel."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's options."""
        parser.add_argument(
            "words",
            nargs="*",
            metavar="show NAME",
            help="print all of one finding: schedule, releases, what a kernel showed, the program",
        )

    def execute(self, options: argparse.Namespace) -> int:
        """List them, or show one."""
        from thplab.explorer.findings import finding_named
        from thplab.report.findings import finding_lines, finding_text

        words: list[str] = options.words
        if not words:
            print(finding_lines())
            return 0
        if words[0] != "show" or len(words) != 2:
            raise InputError("thplab findings: give nothing, or `show` and the name of one finding")
        from thplab.explorer.session import require_greenlet

        require_greenlet()
        print(finding_text(finding_named(words[1])))
        return 0
