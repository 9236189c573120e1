# SPDX-License-Identifier: GPL-2.0-only
"""Nodes and memory policies that a scenario names."""

from __future__ import annotations

import errno
from typing import Literal

import msgspec

from thplab.scenario.errors import ScenarioError

__all__ = [
    "POLICY_SINCE",
    "Mode",
    "Policy",
    "check_node",
    "check_policy",
    "check_weights",
    "lacks_policy",
    "policy_name",
    "turn_of",
]

Mode = Literal["bind", "preferred", "preferred_many", "interleave", "weighted_interleave", "local"]
POLICY_SINCE = {"preferred_many": "5.15", "weighted_interleave": "6.9"}
"""The releases that brought the newer modes."""
MOST_WEIGHT = 255


class Policy(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A memory policy: mbind(2) for a region, set_mempolicy(2) for a task."""

    mode: Mode
    nodes: tuple[int, ...] = ()


def policy_name(policy: Policy) -> str:
    """The policy in messages about a kernel or a release that lacks it."""
    return f"the policy {policy.mode}"


def lacks_policy(policy: Policy, error: OSError) -> str:
    """What a kernel lacks if it refused the policy because it does not know the mode, or ""."""
    since = POLICY_SINCE.get(policy.mode)
    if since is None or error.errno != errno.EINVAL:
        return ""
    return f"this kernel lacks {policy_name(policy)}; {since} brought it"


def check_node(nid: int, count: int, where: str) -> None:
    """Refuse a node that the host does not have."""
    if not 0 <= nid < count:
        nodes = "node 0 only" if count == 1 else f"nodes 0 to {count - 1}"
        raise ScenarioError(f"there is no node {nid}", f"the host has {nodes}", where)


def check_policy(policy: Policy, count: int, where: str) -> None:
    """Refuse a policy that set_mempolicy(2) would refuse: nodes are missing, unknown or not allowed."""
    for nid in policy.nodes:
        check_node(nid, count, where)
    if len(set(policy.nodes)) != len(policy.nodes):
        raise ScenarioError("the policy names a node twice", "name each node once", where)
    if policy.mode == "local" and policy.nodes:
        raise ScenarioError('the policy "local" takes no nodes', "leave nodes out", where)
    if policy.mode != "local" and not policy.nodes:
        raise ScenarioError(
            f'the policy "{policy.mode}" has no nodes', "name them: nodes = [0]", where
        )
    if policy.mode == "preferred" and len(policy.nodes) != 1:
        raise ScenarioError(
            'the policy "preferred" has several nodes',
            'prefer one node: nodes = [0], or use mode = "preferred_many"',
            where,
        )


def check_weights(weights: tuple[int, ...], count: int) -> None:
    """Refuse weights that the kernel's files would refuse."""
    if len(weights) != count:
        raise ScenarioError(
            f"weighted_interleave has {len(weights)} weights",
            f"give one for each node, {count} in all",
            "host",
        )
    for nid, weight in enumerate(weights):
        if not 1 <= weight <= MOST_WEIGHT:
            raise ScenarioError(
                f"the weight of node {nid} is {weight}",
                f"a weight is a number from 1 to {MOST_WEIGHT}",
                "host",
            )


def turn_of(policy: Policy | None, weights: tuple[int, ...]) -> int:
    """After how many allocations an interleaving policy begins again with its first node; 1 for the others."""
    if policy is None:
        return 1
    if policy.mode == "interleave":
        return len(policy.nodes)
    if policy.mode == "weighted_interleave":
        return sum(weights[nid] for nid in policy.nodes)
    return 1
