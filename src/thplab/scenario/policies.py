# SPDX-License-Identifier: GPL-2.0-only
"""Nodes and memory policies that a scenario names."""

from __future__ import annotations

from typing import Literal

import msgspec

from thplab.scenario.errors import ScenarioError

__all__ = ["Policy", "check_node", "check_policy"]


class Policy(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A memory policy: mbind(2) for a region, set_mempolicy(2) for a task."""

    mode: Literal["bind", "preferred", "interleave", "local"]
    nodes: tuple[int, ...] = ()


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
            'the policy "preferred" has several nodes', "prefer one node: nodes = [0]", where
        )
