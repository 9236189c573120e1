# SPDX-License-Identifier: GPL-2.0-only
"""The tables of what verify and fuzz found on real kernels, from the records in docs/verified/.

`thplab verify --kernel IMAGE --record docs/verified` and `thplab fuzz` with the same option write the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from thplab.comparison.record import FuzzRecord, KernelRecord, read_records
from thplab.scenario.library import library_files

RECORDS = Path(__file__).resolve().parent.parent / "docs" / "verified"


def kernel_table() -> str:
    """The kernels that have been verified."""
    rows = [
        (f"`{one.kernel}`", one.linux, f"{one.release}", f"`{one.design}`") for one in _records()
    ]
    return _table(("kernel", "uname -r", "the model stands for", "design, as probed"), rows)


def summary_table() -> str:
    """A line for each kernel: the library, each kind of random scenarios, and the time."""
    records = _records()
    kinds = sorted({series.kind for one in records for series in one.fuzz})
    rows = []
    for one in records:
        random = [_series([it for it in one.fuzz if it.kind == kind]) for kind in kinds]
        seconds = sum(series.seconds for series in one.fuzz)
        if one.library is not None:
            seconds += one.library.seconds
        rows.append((f"`{one.kernel}`", _library(one), *random, f"{seconds:,}"))
    heads = [f"random ({kind}): agree / differ" for kind in kinds]
    return _table(("kernel", "library: agree / differ", *heads, "seconds"), rows)


def _library(one: KernelRecord) -> str:
    if one.library is None:
        return "not run"
    text = f"{len(one.library.agree)} / {len(one.library.differ)}"
    lacking = len(one.library.empty) + len(one.library.not_compared)
    return f"{text} ({lacking} not compared)" if lacking else text


def _series(found: Sequence[FuzzRecord]) -> str:
    if not found:
        return "not run"
    count, empty = sum(one.count for one in found), sum(one.empty for one in found)
    differ = sum(len(one.differ) for one in found)
    text = f"{count - empty - differ} / {differ}"
    return f"{text} ({empty} compared nothing)" if empty else text


def library_table() -> str:
    """The library on each kernel, with the figures that differ."""
    names = {path.stem for path in library_files()}
    rows = []
    for one in _records():
        found = one.library
        if found is None:
            continue
        differ = [f"{name}: {_lines(lines)}" for name, lines in found.differ.items()]
        known = [f"{name} agrees but for: {'; '.join(why)}" for name, why in found.known.items()]
        reasons = dict.fromkeys(found.empty, "no figure could be compared") | found.not_compared
        left = [f"{name}: {why}" for name, why in reasons.items()]
        ran = {*found.agree, *found.differ, *reasons}
        left += [f"{name}: not run" for name in sorted(names - ran)]
        figures = f"{found.figures:,}"
        rows.append(
            (
                f"`{one.kernel}`",
                str(len(found.agree)),
                figures,
                _cell([*differ, *known]),
                _cell(left),
            )
        )
    return _table(("kernel", "agree", "figures that agree", "differ", "not compared"), rows)


def series_table() -> str:
    """Each series of random scenarios."""
    rows = [
        (
            f"`{one.kernel}`",
            f"{it.kind}, seed {it.seed}",
            str(it.count),
            f"{it.figures:,}",
            _cell(f"number {number}: {_lines(lines)}" for number, lines in it.differ.items()),
            str(it.empty),
            ", ".join(it.left_out) or "nothing",
        )
        for one in _records()
        for it in one.fuzz
    ]
    heads = ("kernel", "series", "scenarios", "figures that agree", "differ", "compared nothing")
    return _table((*heads, "steps left out, which the kernel does not offer"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (heads, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]])


def _records() -> list[KernelRecord]:
    return read_records(RECORDS)


def _cell(texts: Iterable[str]) -> str:
    return "; ".join(texts).replace("|", "\\|") or "none"


def _lines(lines: Sequence[str]) -> str:
    """The first differing figure, and how many more there are."""
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"{lines[0]}{more}"
