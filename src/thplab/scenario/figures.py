# SPDX-License-Identifier: GPL-2.0-only
"""Paths to figures of an Observation, such as "regions.victim.far[1].huge".

nodes[0].free                    one node; without [0] the sum over all nodes
cgroups./victim[0].queue         one cgroup on one node; without [0] the sum over all nodes
cgroups./victim.events.high      a figure of a cgroup that has no node: current, peak, a line of memory.events
regions.victim.far[1].huge       one region on one node; without [1] the sum over all nodes
regions.victim.far.absent        pages of a region that have no node: zero, swapped, absent
regions.job*.heap.huge           "*" in a subject: the sum over all that match
vmstat.thp_split_page            a counter of /proc/vmstat
mthp.2048kB.split                a counter of one size of huge pages
khugepaged.pages_collapsed       a counter of khugepaged
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, Self, TypeVar

from thplab.scenario.naming import meant, quoted
from thplab.scenario.observation import (
    FIGURES,
    NODELESS,
    CgroupFigures,
    CgroupMemory,
    NodeFigures,
    Observation,
    RegionFigures,
    RegionNode,
)
from thplab.scenario.written import Written

__all__ = [
    "FigurePath",
    "Unseen",
    "all_figures",
    "read_figure",
    "why_unseen",
]

_Subject = TypeVar("_Subject")

# A cgroup's name may have dots in it, and so has the name of a figure.
_DOTTED = "|".join(re.escape(name) for name in FIGURES["cgroups"] if "." in name)
_PATH = re.compile(
    rf"""
      (?P<nodes>nodes) (?:\[(?P<nid0>[0-9]{{1,4}})\])? \.(?P<name0>\w+)
    | cgroups \.(?P<cgroup>[^\[\]\s]+?) (?:\[(?P<nid1>[0-9]{{1,4}})\])? \.(?P<name1>{_DOTTED}|\w+)
    | regions \.(?P<region>[\w*-]+\.[\w*-]+) (?:\[(?P<nid2>[0-9]{{1,4}})\])? \.(?P<name2>\w+)
    | vmstat \.(?P<counter>\w+)
    | khugepaged \.(?P<daemon>\w+)
    | mthp \.(?P<size>[0-9]{{1,9}}kB) \.(?P<mthp_counter>\w+)
    """,
    re.VERBOSE | re.ASCII,
)
_LONGEST_PATH = 2000


class FigurePath(Written):
    """A path in its parts.

    Attributes:
        section: "nodes", "cgroups", "regions", "vmstat", "mthp" or "khugepaged".
        subject: the cgroup, the region or the size of huge page; "" for the other sections.
        nid: the node; None: the sum over all nodes, or the figure belongs to no node.
        name: the figure or the counter.
    """

    __slots__ = ("_key", "name", "nid", "section", "subject")

    def __init__(self, section: str, subject: str, nid: int | None, name: str) -> None:
        self.section = section
        self.subject = subject
        self.nid = nid
        self.name = name
        self._key = (section, subject, nid, name)

    @classmethod
    def parse(cls, value: object) -> Self:
        """Decode the text of a path.

        Raises:
            ValueError: it has none of the forms, or there is no such figure.
        """
        try:
            return cls(*_parse(value))
        except ValueError as error:
            raise ValueError(f"there is no figure {quoted(value)}; {error}") from None

    def written(self) -> str:
        """The path as text."""
        return str(self)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Text; only the loader checks its form."""
        return {"type": "string"}

    def where(self, nid: int | None) -> FigurePath:
        """The same figure on another node."""
        return FigurePath(self.section, self.subject, nid, self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FigurePath) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"FigurePath({str(self)!r})"

    def __str__(self) -> str:
        subject = f".{self.subject}" if self.subject else ""
        nid = "" if self.nid is None else f"[{self.nid}]"
        return f"{self.section}{subject}{nid}.{self.name}"


class Unseen(NamedTuple):
    """Why an observation does not have a figure."""

    reason: str


@lru_cache(maxsize=1024)
def _parse(text: object) -> tuple[str, str, int | None, str]:
    match = None
    if isinstance(text, str) and len(text) <= _LONGEST_PATH:
        match = _PATH.fullmatch(text)
    if match is None:
        raise ValueError(
            'a figure has a path such as "regions.victim.far[1].huge", "cgroups./victim[0].queue", '
            '"nodes[0].free", "vmstat.thp_split_page" or "mthp.2048kB.split"'
        )
    if match["daemon"]:
        if match["daemon"] not in FIGURES["khugepaged"]:
            raise ValueError(f"khugepaged has the figures {', '.join(FIGURES['khugepaged'])}")
        return "khugepaged", "", None, match["daemon"]
    if match["counter"]:
        return "vmstat", "", None, match["counter"]
    if match["size"]:
        return "mthp", match["size"], None, match["mthp_counter"]
    section, index, subject = (
        ("nodes", "0", "")
        if match["nodes"]
        else ("cgroups", "1", match["cgroup"])
        if match["cgroup"]
        else ("regions", "2", match["region"])
    )
    name, nid = match["name" + index], match["nid" + index]
    if name not in FIGURES[section]:
        raise ValueError(f"{section} have the figures {', '.join(FIGURES[section])}")
    if nid is not None and name in NODELESS[section]:
        raise ValueError(f'"{name}" belongs to no node; leave out [{nid}]')
    return section, subject, None if nid is None else int(nid), name


def read_figure(observation: Observation, path: FigurePath) -> int | Unseen:
    """The figure, or why the observation does not have it."""
    total = 0
    for value in _values(observation, path):
        if value is None:
            return Unseen(why_unseen(observation, path))
        if isinstance(value, Unseen):
            return value
        total += value
    return total


def _values(observation: Observation, path: FigurePath) -> Iterable[int | Unseen | None]:
    match path.section:
        case "vmstat":
            return [observation.vmstat.get(path.name)]
        case "mthp":
            return [observation.mthp.get(path.subject, {}).get(path.name)]
        case "khugepaged":
            return [getattr(observation.khugepaged, path.name)]
        case "nodes":
            return _on_nodes(observation.nodes, path)
        case "cgroups" if path.name in NODELESS["cgroups"]:
            having = dict(observation.memory)
            if FIGURES["cgroups"][path.name].below_root:
                having.pop("/", None)
                if path.subject == "/":
                    return [Unseen("the root cgroup does not have it; name a cgroup below")]
            memory = _fitting(having, path.subject)
            if not memory:
                return [Unseen(f"{path.subject} did not exist at that moment")]
            return map(attrgetter(path.name), memory)
        case "cgroups":
            cgroups = _fitting(observation.cgroups, path.subject)
            if not cgroups:
                return [Unseen(f"{path.subject} did not exist at that moment")]
            return [value for nodes in cgroups for value in _on_nodes(nodes, path)]
    regions = _fitting(observation.regions, path.subject)
    if not regions:
        return [Unseen(f"{path.subject} no longer existed: its task had ended")]
    if path.name in NODELESS["regions"]:
        return [getattr(region, path.name) for region in regions]
    return [value for region in regions for value in _on_nodes(region.nodes, path)]


def _fitting(subjects: dict[str, _Subject], wanted: str) -> list[_Subject]:
    if "*" not in wanted:
        return [subjects[wanted]] if wanted in subjects else []
    # Only "*" is special: the other signs of a shell pattern stand for themselves.
    pattern = wanted.replace("[", "[[]").replace("?", "[?]")
    return [figures for subject, figures in subjects.items() if fnmatchcase(subject, pattern)]


def _on_nodes(
    nodes: list[NodeFigures] | list[CgroupFigures] | list[RegionNode], path: FigurePath
) -> list[int | Unseen | None]:
    if path.nid is None:
        return [getattr(node, path.name) for node in nodes]
    if path.nid >= len(nodes):
        return [Unseen(f"there is no node {path.nid}")]
    return [getattr(nodes[path.nid], path.name)]


def all_figures(observation: Observation) -> Iterator[tuple[FigurePath, int | None]]:
    """Each figure of an observation with its value: regions, cgroups, nodes, counters."""
    by_node = {
        section: [name for name in figures if name not in NODELESS[section]]
        for section, figures in FIGURES.items()
    }
    for subject, region in observation.regions.items():
        yield from _by_node("regions", subject, region.nodes, by_node["regions"])
        yield from _by_no_node("regions", subject, region)
    for subject, nodes in observation.cgroups.items():
        yield from _by_node("cgroups", subject, nodes, by_node["cgroups"])
        if subject in observation.memory:
            yield from _by_no_node("cgroups", subject, observation.memory[subject])
    yield from _by_node("nodes", "", observation.nodes, by_node["nodes"])
    for name, value in observation.vmstat.items():
        yield FigurePath("vmstat", "", None, name), value
    for size, counters in observation.mthp.items():
        for name, value in counters.items():
            yield FigurePath("mthp", size, None, name), value
    for name in FIGURES["khugepaged"]:
        yield FigurePath("khugepaged", "", None, name), getattr(observation.khugepaged, name)


def _by_node(
    section: str,
    subject: str,
    nodes: Sequence[NodeFigures | CgroupFigures | RegionNode],
    names: Sequence[str],
) -> Iterator[tuple[FigurePath, int | None]]:
    for nid, node in enumerate(nodes):
        for name in names:
            yield FigurePath(section, subject, nid, name), getattr(node, name)


def _by_no_node(
    section: str, subject: str, figures: RegionFigures | CgroupMemory
) -> Iterator[tuple[FigurePath, int | None]]:
    for name, figure in FIGURES[section].items():
        if name in NODELESS[section] and not (subject == "/" and figure.below_root):
            yield FigurePath(section, subject, None, name), attrgetter(name)(figures)


def why_unseen(observation: Observation, path: FigurePath) -> str:
    """The reason that the observation gives for a figure that it does not have."""
    general = FigurePath(path.section, "", None, path.name)
    for candidate in (path, path.where(None), general):
        reason = observation.missing.get(str(candidate))
        if reason:
            return reason
    if path.section in observation.missing:
        return observation.missing[path.section]
    if path.section == "vmstat" and path.name not in observation.vmstat:
        return f"there is no such counter; {meant(path.name, observation.vmstat, 'counters')}"
    if path.section == "mthp" and path.name not in observation.mthp.get(path.subject, {}):
        known = [f"{size}.{name}" for size, counts in observation.mthp.items() for name in counts]
        wanted = f"{path.subject}.{path.name}"
        return f"there is no such counter; {meant(wanted, known, 'counters')}"
    return "the backend does not count this"
