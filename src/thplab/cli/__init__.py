# SPDX-License-Identifier: GPL-2.0-only
"""The command `thplab`: finds the verb, runs it, and turns errors into an exit status.

Exit status: 0 success, 1 a claim failed or the model warned, 2 unusable input, 130 an interrupt, 141
the reader of the output closed the pipe.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from thplab import __version__
from thplab.cli.verbs import VERBS, load_verb
from thplab.scenario.errors import InputError, ScenarioError, ThplabError

__all__ = ["main"]

INTERRUPTED = 130
BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (by default those of the process); return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal cannot show must not end the command.
        sys.stdout.reconfigure(errors="replace")
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except ThplabError as error:
        _complain(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except OSError as error:
        _discard_output()
        _complain(f"cannot write: {error.strerror or error}")
        return 2
    return status


def _run(arguments: Sequence[str]) -> int:
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    names = [verb.name for verb in VERBS]
    if chosen is not None and chosen not in names:
        from thplab.scenario.naming import meant, quoted

        raise InputError(f"there is no verb {quoted(chosen)}; {meant(chosen, names, 'verbs')}")
    parser = _parser(chosen)
    options = parser.parse_args(arguments)
    if chosen is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return load_verb(chosen).execute(options)
    except ScenarioError as error:
        # A backend knows the step, but not the file that has it.
        error.path = error.path or getattr(options, "scenario", "")
        raise


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser. It loads only the chosen verb, because loading all of them takes long."""
    parser = argparse.ArgumentParser(
        prog="thplab",
        usage="thplab [-h] [--version] VERB [OPTION]...",
        description="An executable model of how Linux reclaims transparent huge pages.",
        epilog="`thplab VERB --help` shows the options of a verb.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"thplab {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB [OPTION]...", title="verbs")
    for verb in VERBS:
        sub = verbs.add_parser(
            verb.name,
            prog=f"thplab {verb.name}",
            help=verb.summary,
            description=verb.summary + ".",
            allow_abbrev=False,
            # The parsers of the other verbs only list their names.
            add_help=verb.name == chosen,
        )
        if verb.name == chosen:
            load_verb(verb.name).configure(sub)
    return parser


def _complain(message: str) -> None:
    with suppress(OSError, ValueError):
        print(f"thplab: {message}", file=sys.stderr, flush=True)


def _discard_output() -> None:
    """Send what the interpreter still flushes to /dev/null, because the reader has closed the pipe."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
