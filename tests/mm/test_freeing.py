# SPDX-License-Identifier: GPL-2.0-only
"""Objects that refer to one another in a long chain are freed without harm to others, however deep that goes."""

from __future__ import annotations

import os
import subprocess
import sys

CHAIN = """
from thplab.mm.mm_types import PteMap

entry = None
for page in range(512):
    entry = PteMap(None, 1 << page, entry)
entry = None
print("freed")
"""


def test_the_entries_of_a_slot_go_all_at_once() -> None:
    """CPython's debugging allocator ends the process if something was written in front of an object."""
    done = subprocess.run(
        [sys.executable, "-c", CHAIN],
        env={**os.environ, "PYTHONMALLOC": "debug"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "freed\n", done.stderr
    assert done.returncode == 0, done.stderr
