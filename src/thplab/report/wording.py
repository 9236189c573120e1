# SPDX-License-Identifier: GPL-2.0-only
"""Figures in words, and their values as text."""

from __future__ import annotations

from collections.abc import Sequence

from thplab.comparison.rows import unit_of
from thplab.scenario.figures import FigurePath
from thplab.scenario.observation import FIGURES
from thplab.scenario.rules import Unit
from thplab.scenario.schema import Claim
from thplab.scenario.units import human_size

__all__ = ["UNSEEN", "claim_subject", "claim_value", "figure_words", "value_texts"]

UNSEEN = "?"
"""Stands for an unseen value."""


def figure_words(path: FigurePath) -> str:
    """A figure in words; a counter keeps the kernel's name."""
    figure = FIGURES.get(path.section, {}).get(path.name)
    return path.name if figure is None else figure.words


def claim_subject(claim: Claim) -> str:
    """What a claim is about, on one line: "victim.far, node 1: huge pages whole"."""
    path = claim.value
    place = [path.subject] if path.subject else []
    if path.nid is not None:
        place.append(f"node {path.nid}")
    elif path.section == "nodes":
        place.append("all nodes")
    elif path.section == "cgroups" and path.name == "queue":
        place.append("sum over nodes")
    figure = FIGURES.get(path.section, {}).get(path.name)
    words = (figure.alone if figure is not None else "") or figure_words(path)
    since = f', change since "{claim.since}"' if claim.since else ""
    return f"{', '.join(place)}: {words}{since}" if place else f"{words}{since}"


def value_texts(values: Sequence[int | None], unit: Unit) -> list[str]:
    """The values of one row: rounded sizes, but never the same text for two different ones."""
    if unit == "bytes":
        texts = [UNSEEN if value is None else human_size(value) for value in values]
        if len(set(texts)) == len(set(values)):
            return texts
    return [UNSEEN if value is None else f"{value:,}" for value in values]


def claim_value(value: int, path: FigurePath) -> str:
    """The value of a claim's figure."""
    return value_texts([value], unit_of(path))[0]
