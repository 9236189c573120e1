# SPDX-License-Identifier: GPL-2.0-only
"""docs/api.md shows what happens."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_five_examples_print_what_the_page_shows() -> None:
    """One after the other, as a reader types them."""
    assert len(EXAMPLES) == 5
    text = "\n".join(EXAMPLES)
    test = doctest.DocTestParser().get_doctest(text, {}, "docs/api.md", "docs/api.md", 0)
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
