# SPDX-License-Identifier: GPL-2.0-only
"""The tables of the documentation that repeat the rows of the source. tools/pages.py says where they stand."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Literal, get_args, get_origin, get_type_hints

from msgspec.structs import FieldInfo, fields

from thplab.designs import shipped
from thplab.mm.vmstat import counters
from thplab.releases.named import NAMES, release_named
from thplab.releases.release import DIFFERENCES
from thplab.report.lists import release_rows
from thplab.scenario.observation import FIGURES, NODELESS
from thplab.scenario.parts import PARTS, Part
from thplab.scenario.step import RangeStep, Step
from thplab.scenario.steps import STEPS
from thplab.scenario.tunables import CGROUP_FILES, HOST_FILES, Tunable
from thplab.scenario.units import Size

__all__ = [
    "counter_table",
    "design_table",
    "difference_table",
    "figure_table",
    "part_table",
    "release_table",
    "step_table",
    "tunable_table",
]


def _table(heading: str, rows: Iterable[str]) -> str:
    columns = heading.count("|") - 1
    return "\n".join([heading, "|" + "---|" * columns, *rows])


def _summary(thing: object) -> str:
    """The first paragraph of a docstring, on one line."""
    return re.sub(r"\s+", " ", (inspect.getdoc(thing) or "").split("\n\n")[0])


def step_table() -> str:
    """What each step stands for, and its keys."""
    rows = (f"| {tag} | {_summary(kind)} | {_keys(kind)} |" for tag, kind in STEPS.items())
    return _table("| do | what it does | keys |", rows)


def _keys(kind: type[Step]) -> str:
    hints = get_type_hints(kind)
    of_range = {field.name for field in fields(RangeStep)} if issubclass(kind, RangeStep) else set()
    own = [_key(field, hints[field.name]) for field in fields(kind) if field.name not in of_range]
    shared = ["task, region; offset, length, part"] if of_range else []
    return "; ".join([*shared, ", ".join(own)] if own else shared)


def _key(field: FieldInfo, hint: object) -> str:
    literal = next((a for a in (hint, *get_args(hint)) if get_origin(a) is Literal), None)
    words = "" if literal is None else ": " + ", ".join(f'"{word}"' for word in get_args(literal))
    optional = "" if field.required else " (optional)"
    return f"{field.encode_name}{words}{optional}"


def part_table() -> str:
    """The forms of a part, and the pages that each has."""
    rows = []
    for text in PARTS:
        mask = Part.parse(text).mask
        first, last = (mask & -mask).bit_length() - 1, mask.bit_length() - 1
        pages = str(first) if first == last else f"{first} to {last}"
        default = " (default)" if text == "all" else ""
        rows.append(f'| `"{text}"`{default} | {pages} |')
    return _table("| part | base pages |", rows)


def tunable_table() -> str:
    """The files that a scenario sets."""
    rows = [_tunable(row, "") for row in HOST_FILES.values()]
    rows += [_tunable(row, "of a cgroup: ") for row in CGROUP_FILES]
    return _table("| file | what it takes | default | since | what it decides |", rows)


def _tunable(row: Tunable, whose: str) -> str:
    default = row.default.written() if isinstance(row.default, Size) else row.default
    text = str(default).lower() if isinstance(default, bool) else str(default)
    name = f"{row.file} (no file of the kernel's)" if row.ours else row.file
    return f"| {name} | {row.kind.takes()} | {text} | {row.since} | {whose}{row.about} |"


def figure_table() -> str:
    """The figures of nodes, cgroups, regions and khugepaged."""
    examples = {
        "nodes": "nodes[0]",
        "cgroups": "cgroups./job[0]",
        "regions": "regions.worker.heap[1]",
    }
    whole = {
        "cgroups": "cgroups./job",
        "regions": "regions.worker.heap",
        "khugepaged": "khugepaged",
    }
    rows = []
    for section, figures in FIGURES.items():
        for name, figure in figures.items():
            place = (whole if name in NODELESS[section] else examples)[section]
            rule = f"{figure.rule.kind}: {figure.rule.why}"
            rows.append(f"| `{place}.{name}` | {figure.unit} | {figure.about} | {rule} |")
    return _table("| value | unit | figure | model against kernel |", rows)


def counter_table() -> str:
    """The counters that the model has."""
    places = {"vmstat": "vmstat.{}", "mthp": "mthp.2048kB.{}"}
    rows = (
        f"| `{places[kind].format(one.name)}` | {one.since} | {one.meaning} |"
        for kind, one in counters()
    )
    return _table("| value | since | what it counts |", rows)


def release_table() -> str:
    """The named releases, and what each changed."""
    rows = (
        f"| {name} | `{design}` | {'<br>'.join(changes) or 'nothing that the model knows of'} |"
        for name, design, changes in release_rows()
    )
    return _table("| release | design | what changed since the one before it |", rows)


def difference_table() -> str:
    """The fields of a Release, with the source of each."""
    rows = (
        f"| `{field}` | {one.since} | {one.about} | {one.source} |"
        for field, one in DIFFERENCES.items()
    )
    return _table("| field | since | what a kernel does | how that is known |", rows)


def design_table() -> str:
    """The designs that ship."""
    named = [release_named(name) for name in NAMES]
    rows = []
    for name, kind in shipped().items():
        has = ", ".join(release.name for release in named if release.design == name)
        rows.append(f"| `{name}` | {kind.releases()} | {has or 'none'} | {_summary(kind)} |")
    return _table("| design | kernels | named releases | what it is |", rows)
