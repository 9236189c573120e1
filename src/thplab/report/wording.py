# SPDX-License-Identifier: GPL-2.0-only
"""Figures in words, and their values as text."""

from __future__ import annotations

from collections.abc import Sequence

from thplab.compare.rows import Unit, unit_of
from thplab.scenario.figures import FigurePath
from thplab.scenario.schema import Claim
from thplab.scenario.units import human_size

__all__ = ["UNSEEN", "claim_subject", "claim_value", "figure_words", "value_texts"]

UNSEEN = "?"
"""Stands for a value that was not seen."""

_WORDS = {
    "nodes.free": "free memory",
    "nodes.anon": "anonymous memory",
    "nodes.huge": "of it in huge pages",
    "cgroups.anon": "anonymous memory",
    "cgroups.huge": "of it in huge pages",
    "cgroups.queue": "huge pages on the queue",
    "regions.huge": "huge pages whole",
    "regions.split": "huge pages split",
    "regions.base": "base pages",
    "regions.zero": "shared zero pages",
    "regions.swapped": "pages swapped out",
    "regions.absent": "pages absent",
}
_ALONE = {"nodes.huge": "memory in huge pages", "cgroups.huge": "memory in huge pages"}


def figure_words(section: str, figure: str) -> str:
    """What a figure is, in words; a counter of the kernel keeps the kernel's name."""
    return _WORDS.get(f"{section}.{figure}", figure)


def claim_subject(claim: Claim, path: FigurePath) -> str:
    """What a claim is about, on one line: "victim.far, node 1: huge pages whole"."""
    place = [path.subject] if path.subject else []
    if path.nid is not None:
        place.append(f"node {path.nid}")
    elif path.section == "nodes":
        place.append("all nodes")
    elif path.section == "cgroups" and path.name == "queue":
        place.append("sum over nodes")
    key = f"{path.section}.{path.name}"
    words = _ALONE.get(key) or figure_words(path.section, path.name)
    since = f', change since "{claim.since}"' if claim.since else ""
    return f"{', '.join(place)}: {words}{since}" if place else f"{words}{since}"


def value_texts(values: Sequence[int | None], unit: Unit) -> list[str]:
    """The values of one row: sizes for a reader, but never two different ones alike."""
    if unit == "bytes":
        texts = [UNSEEN if value is None else human_size(value) for value in values]
        if len(set(texts)) == len(set(values)):
            return texts
    return [UNSEEN if value is None else f"{value:,}" for value in values]


def claim_value(value: int, path: FigurePath) -> str:
    """The value of a claim's figure."""
    return value_texts([value], unit_of(path.section, path.name))[0]
