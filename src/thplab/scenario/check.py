# SPDX-License-Identifier: GPL-2.0-only
"""Checks of a decoded scenario as a whole: the host, the names, the steps in order, the claims.

Each raises a ScenarioError with the place, the name and what would be right.
"""

from __future__ import annotations

import re

from thplab.scenario.declared import Declared, Seen
from thplab.scenario.errors import ScenarioError
from thplab.scenario.figures import FigurePath
from thplab.scenario.host import check_host
from thplab.scenario.naming import meant, quoted
from thplab.scenario.policies import check_node
from thplab.scenario.schema import Claim, Scenario

__all__ = ["check", "walk"]

MOST_CLAIMS = 1000

_SCENARIO_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


def check(scenario: Scenario) -> None:
    """Refuse a scenario that no backend could carry out.

    Raises:
        ScenarioError: the first mistake.
    """
    if not _SCENARIO_NAME.fullmatch(scenario.name):
        raise ScenarioError(
            f"{quoted(scenario.name)} cannot be the name of a scenario",
            'a name has letters, digits, ".", "_" and "-", at most 128 of them',
        )
    if not scenario.summary.strip() or len(scenario.summary) > 500:
        raise ScenarioError("summary is empty or very long", "say in a sentence what it shows")
    check_host(scenario.host)
    _check_cgroups(scenario)
    observations = walk(scenario).observations
    if len(scenario.claims) > MOST_CLAIMS:
        raise ScenarioError(f"there are {len(scenario.claims)} claims", f"at most {MOST_CLAIMS}")
    for number, claim in enumerate(scenario.claims, start=1):
        _check_claim(scenario, claim, observations, f"claim {number}")


def walk(scenario: Scenario) -> Declared:
    """Check the steps in order without carrying them out; return the state after the last.

    Raises:
        ScenarioError: the first step that cannot be carried out.
    """
    declared = scenario.declared()
    for index, step in enumerate(scenario.steps):
        declared.where = scenario.where(index)
        step.check(declared)
    return declared


def _check_cgroups(scenario: Scenario) -> None:
    for path, cgroup in scenario.cgroups.items():
        if scenario.host.memcg == "disabled" and any(cgroup.chosen()):
            raise ScenarioError(
                'a host with memcg = "disabled" has no memory limits',
                'leave the limits out, or use memcg = "on"',
                f"cgroup {quoted(path)}",
            )


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
    for label in (claim.at, claim.since):
        if label is not None:
            place = f"{where}, at {quoted(label)}"
            _check_figure(scenario, claim.value, observations[label], place)


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
