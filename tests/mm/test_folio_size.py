# SPDX-License-Identifier: GPL-2.0-only
"""A terabyte of huge pages is half a million folios: what one of them weighs."""

from __future__ import annotations

import sys

import pytest

from thplab.cpu import hook
from thplab.mm.mm_types import Folio

COMPILED = str(hook.__file__).endswith(".so")


@pytest.mark.skipif(not COMPILED, reason="an interpreted object has a dictionary of its own")
def test_a_folio_that_was_never_shared_has_at_most_130_bytes() -> None:
    """The bound of docs/performance.md."""
    assert sys.getsizeof(Folio(9, 0)) <= 130


def test_only_memory_that_a_fork_shared_carries_what_a_fork_needs() -> None:
    """Mapped.forked."""
    folio = Folio(9, 0)
    folio.not_exclusive = 0
    folio.more_mapped = None
    assert folio.forked is None
    folio.not_exclusive = 3
    assert folio.not_exclusive == 3
    assert folio.more_mapped is None
