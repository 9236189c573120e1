# SPDX-License-Identifier: GPL-2.0-only
"""When what khugepaged does no longer depends on how many passes it makes."""

from __future__ import annotations

import pytest

from thplab.comparison.settling import settles
from thplab.scenario.loader import loads

HEAD = """
name = "settling"
summary = "khugepaged awake"
host = { nodes = ["256M"], thp = { khugepaged = { awake = true, pages_to_scan = %d, scan_sleep_millisecs = %d } } }
tasks = { job = {} }
"""
WINDOW = """
    { do = "set", file = "khugepaged/scan_sleep_millisecs", value = 100 },
    { do = "wait", seconds = 1 },
    { do = "set", file = "khugepaged/scan_sleep_millisecs", value = 1000000000 },
    { do = "wait", seconds = 1 },
"""
SHORT = WINDOW[: WINDOW.index("1 },") + 4]
BEGIN = """
    { do = "map", task = "job", region = "heap", size = "16M" },
    { do = "touch", task = "job", region = "heap" },
"""
END = '{ do = "observe", label = "end" },'


@pytest.mark.parametrize(
    ("pages", "sleep", "steps", "verdict"),
    [
        (4096, 1_000_000_000, BEGIN + WINDOW + END, True),
        (4095, 1_000_000_000, BEGIN + WINDOW + END, False),  # a pass leaves a page out
        (4096, 10_000, BEGIN + WINDOW + END, False),  # a pass may or may not fit into the steps
        (4096, 100, BEGIN + WINDOW + END, False),  # passes come between the steps
        (
            4096,
            1_000_000_000,
            WINDOW.rsplit("{", 1)[0] + BEGIN + END,
            False,
        ),  # the last pass may be late
        (4096, 1_000_000_000, BEGIN + END, True),
        (4096, 1_000_000_000, BEGIN + SHORT + END, True),  # later passes find nothing
        (4096, 1_000_000_000, SHORT + BEGIN + END, False),
    ],
)
def test_many_passes_at_a_time_or_none_settle(
    pages: int, sleep: int, steps: str, *, verdict: bool
) -> None:
    assert settles(loads(HEAD % (pages, sleep) + f"steps = [{steps}]")) is verdict
