# SPDX-License-Identifier: GPL-2.0-only
"""A Comparison as JSON: complete, with sorted keys; docs/cli.md describes it."""

from __future__ import annotations

from typing import Any

import msgspec

from thplab.comparison.comparison import Column, Comparison
from thplab.comparison.rows import Row
from thplab.scenario.claims import ClaimResult
from thplab.scenario.rules import Rule
from thplab.scenario.schema import Scenario

__all__ = ["FORMAT_VERSION", "comparison_dict", "comparison_json"]

FORMAT_VERSION = 2
"""A higher one when a key changes its meaning or goes away; new keys do not change it."""


def comparison_json(comparison: Comparison) -> str:
    """The whole Comparison, each figure of each observation; ends with a newline."""
    encoded = msgspec.json.encode(_content(comparison), order="sorted")
    return msgspec.json.format(encoded, indent=2).decode() + "\n"


def comparison_dict(comparison: Comparison) -> dict[str, Any]:
    """The same as dicts, lists and plain values."""
    # msgspec.to_builtins() would leave tuples.
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(_content(comparison)))
    return plain


def _content(comparison: Comparison) -> dict[str, Any]:
    rules: dict[Rule, int] = {}
    observations = [
        {"label": moment.label, "figures": [_figure(row, rules) for row in moment.rows]}
        for moment in comparison.moments
    ]
    return {
        "format": "thplab comparison",
        "version": FORMAT_VERSION,
        "scenario": comparison.scenario.name,
        "summary": comparison.scenario.summary,
        "columns": [_column(column, comparison.scenario) for column in comparison.columns],
        "observations": observations,
        "rules": list(rules),
    }


def _column(column: Column, scenario: Scenario) -> dict[str, Any]:
    return {
        "title": column.title,
        "backend": column.backend,
        "design": column.release.design,
        "release": column.release,
        "kernel": column.kernel,
        "host": column.host,
        "claims": [_claim(result) for result in column.claims],
        "outcomes": [
            {
                "step": outcome.step,
                "where": scenario.where(outcome.step),
                "do": outcome.do,
                "text": outcome.text,
                "done": outcome.done,
            }
            for outcome in column.outcomes
        ],
        "warnings": column.warnings,
        "notes": column.notes,
    }


def _claim(result: ClaimResult) -> dict[str, Any]:
    return {
        "at": result.claim.at,
        "since": result.claim.since,
        "value": str(result.claim.value),
        "why": result.claim.why,
        "expect": None if result.expected is None else str(result.expected),
        "actual": result.actual,
        "verdict": result.verdict,
        "reason": result.reason,
    }


def _figure(row: Row, rules: dict[Rule, int]) -> dict[str, Any]:
    return {
        "path": str(row.path),
        "section": row.path.section,
        "subject": row.path.subject,
        "node": row.path.nid,
        "figure": row.path.name,
        "unit": row.unit,
        "values": row.values,
        "reasons": row.reasons,
        "differs": row.differs,
        # There are few rules and many figures, so a figure has the index of its rule.
        "rule": rules.setdefault(row.rule, len(rules)),
    }
