# SPDX-License-Identifier: GPL-2.0-only
"""What a decoded scenario must keep to as a whole: the host, the names, the claims.

Each check raises a ScenarioError with the place, the name and what would be right. The steps are
walked by :mod:`thplab.scenario.walk`.
"""

from __future__ import annotations

import re

from thplab.scenario.conditions import parse_condition
from thplab.scenario.errors import ScenarioError
from thplab.scenario.figures import FigurePath, parse_figure
from thplab.scenario.naming import meant, quoted
from thplab.scenario.parts import HPAGE_PMD_SIZE
from thplab.scenario.policies import check_node, check_policy
from thplab.scenario.schema import Claim, Host, Scenario
from thplab.scenario.units import exact_size
from thplab.scenario.walk import Seen, walk

__all__ = ["check"]

MOST_NODES = 64
MOST_MEMORY = 64 << 40
LEAST_NODE = 64 << 20
MOST_CLAIMS = 1000
LOCAL_DISTANCE = 10
"""What the kernel writes on the diagonal of the distance table (LOCAL_DISTANCE)."""

_SCENARIO_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_DESIGN = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,255}", re.ASCII)


def check(scenario: Scenario) -> None:
    """Refuse a scenario that no backend could carry out.

    Raises:
        ScenarioError: the first mistake that was found.
    """
    if not _SCENARIO_NAME.fullmatch(scenario.name):
        raise ScenarioError(
            f"{quoted(scenario.name)} cannot be the name of a scenario",
            'a name has letters, digits, ".", "_" and "-", at most 128 of them',
        )
    if not scenario.summary.strip() or len(scenario.summary) > 500:
        raise ScenarioError("summary is empty or very long", "say in a sentence what is shown")
    _check_host(scenario.host)
    _check_cgroups(scenario)
    _check_tasks(scenario)
    observations = walk(scenario)
    if len(scenario.claims) > MOST_CLAIMS:
        raise ScenarioError(f"there are {len(scenario.claims)} claims", f"at most {MOST_CLAIMS}")
    for number, claim in enumerate(scenario.claims, start=1):
        _check_claim(scenario, claim, observations, f"claim {number}")


def _check_host(host: Host) -> None:
    count = len(host.nodes)
    if not 1 <= count <= MOST_NODES:
        raise ScenarioError(
            f"there are {count} nodes", f"a host has 1 to {MOST_NODES} nodes", "host"
        )
    for nid, size in enumerate(host.nodes):
        if size < LEAST_NODE or size % HPAGE_PMD_SIZE:
            raise ScenarioError(
                f"node {nid} has {exact_size(size)}",
                f"a node has at least {exact_size(LEAST_NODE)}, in whole huge pages of 2M",
                "host",
            )
    if sum(host.nodes) > MOST_MEMORY:
        raise ScenarioError(
            f"the nodes have {exact_size(sum(host.nodes))} together",
            f"at most {exact_size(MOST_MEMORY)} are possible",
            "host",
        )
    _check_distances(host, count)
    khugepaged = host.thp.khugepaged
    for name, value, lowest, highest in (
        ("max_ptes_none", khugepaged.max_ptes_none, 0, 511),
        ("pages_to_scan", khugepaged.pages_to_scan, 1, (1 << 32) - 1),
        ("scan_sleep_millisecs", khugepaged.scan_sleep_millisecs, 0, (1 << 32) - 1),
    ):
        if not lowest <= value <= highest:
            raise ScenarioError(
                f"{name} is {value}", f"it is {lowest} to {highest}", "host, thp, khugepaged"
            )


def _check_distances(host: Host, count: int) -> None:
    if host.distances is None:
        return
    if len(host.distances) != count or any(len(row) != count for row in host.distances):
        raise ScenarioError(
            "distances is not a row for each node with a number for each node",
            f"{count} rows of {count} numbers, as in /sys/devices/system/node/nodeN/distance",
            "host",
        )
    for nid, row in enumerate(host.distances):
        for other, distance in enumerate(row):
            local = other == nid
            if (local and distance != LOCAL_DISTANCE) or (
                not local and not LOCAL_DISTANCE < distance < 255
            ):
                raise ScenarioError(
                    f"the distance from node {nid} to node {other} is {distance}",
                    f"a node is {LOCAL_DISTANCE} from itself and 11 to 254 from another",
                    "host",
                )


def _check_cgroups(scenario: Scenario) -> None:
    for path, cgroup in scenario.cgroups.items():
        limits = (cgroup.max, cgroup.high, cgroup.low, cgroup.min)
        if scenario.host.memcg == "disabled" and any(limit is not None for limit in limits):
            raise ScenarioError(
                'a host with memcg = "disabled" has no memory limits',
                'leave the limits out, or use memcg = "on"',
                f"cgroup {quoted(path)}",
            )


def _check_tasks(scenario: Scenario) -> None:
    for name, task in scenario.tasks.items():
        where = f"task {quoted(name)}"
        if task.cgroup != "/" and task.cgroup not in scenario.cgroups:
            raise ScenarioError(
                f"there is no cgroup {quoted(task.cgroup)}",
                meant(task.cgroup, ("/", *scenario.cgroups), "cgroups"),
                where,
            )
        if not -1000 <= task.oom_score_adj <= 1000:
            raise ScenarioError(
                f"oom_score_adj is {task.oom_score_adj}", "it is -1000 to 1000", where
            )
        if task.policy is not None:
            check_policy(task.policy, len(scenario.host.nodes), where)


def _check_claim(
    scenario: Scenario, claim: Claim, observations: dict[str, Seen], where: str
) -> None:
    labels = list(observations)
    for label in (claim.at, claim.since):
        if label is not None and label not in observations:
            raise ScenarioError(
                f"there is no observation {quoted(label)}",
                meant(label, labels, "observations"),
                where,
            )
    if claim.since is not None and labels.index(claim.since) >= labels.index(claim.at):
        raise ScenarioError(
            f"since = {quoted(claim.since)} is not before at = {quoted(claim.at)}",
            "a change is from an earlier observation to a later one",
            where,
        )
    try:
        path = parse_figure(claim.value)
    except ValueError as error:
        raise ScenarioError(
            f"there is no figure {quoted(claim.value)}", str(error), where
        ) from None
    for label in (claim.at, claim.since):
        if label is not None:
            _check_figure(scenario, path, observations[label], f"{where}, at {quoted(label)}")
    _check_expectations(claim, where)


def _check_figure(scenario: Scenario, path: FigurePath, seen: Seen, where: str) -> None:
    if path.nid is not None:
        check_node(path.nid, len(scenario.host.nodes), where)
    if path.section not in ("cgroups", "regions"):
        return
    known = seen.cgroups if path.section == "cgroups" else seen.regions
    if path.subject in known or "*" in path.subject:
        return
    kind = path.section.removesuffix("s")
    raise ScenarioError(
        f"there is no {kind} {quoted(path.subject)} at that moment",
        meant(path.subject, known, path.section),
        where,
    )


def _check_expectations(claim: Claim, where: str) -> None:
    expectations = {"": claim.expect} if isinstance(claim.expect, str) else claim.expect
    if not expectations:
        raise ScenarioError("expect is empty", 'say what holds for a design, or for "*"', where)
    for design, condition in expectations.items():
        if design not in ("", "*") and not _DESIGN.fullmatch(design):
            raise ScenarioError(
                f"{quoted(design)} cannot be the name of a design",
                'the name of a design, "file.py:Class", or "*" for any other',
                where,
            )
        try:
            parse_condition(condition)
        except ValueError as error:
            raise ScenarioError(f"cannot expect {quoted(condition)}", str(error), where) from None
