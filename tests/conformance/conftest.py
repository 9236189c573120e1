# SPDX-License-Identifier: GPL-2.0-only
"""One suite that every design of the deferred split queue must pass.

For a design of your own:

    pytest tests/conformance --design my_queue.py:MyQueue

runs the suite on it alone, and may be given several times. Where the designs that ship differ,
test_differences.py says how, outcome by outcome; a design of your own must have one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mm.small import OOPSES
from thplab import designs

RCU_USAGE = "WARNING: suspicious RCU usage: folio_memcg() outside an RCU read section"

EXPECTED_WARNINGS: dict[str, set[str]] = {
    # B01: freeze-and-split reads the folio's cgroup outside of RCU.
    "list_lru_v1": {RCU_USAGE},
}
"""What a design is known to make the kernel complain about, whenever it splits."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--design",
        action="append",
        metavar="DESIGN",
        help="run the conformance suite on this design: a name, or file.py:Class",
    )


def chosen(config: pytest.Config) -> list[str]:
    """The designs that were asked for, else all that are known."""
    return config.getoption("--design", default=None) or designs.names()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`design`: each in turn."""
    if "design" in metafunc.fixturenames:
        metafunc.parametrize("design", chosen(metafunc.config))


@pytest.fixture(autouse=True)
def only_what_can_run(request: pytest.FixtureRequest) -> None:
    """Leave out what ends at the first huge fault; test_differences.py asks for that."""
    callspec = getattr(request.node, "callspec", None)
    if callspec and (callspec.params.get("design"), callspec.params.get("mode")) in OOPSES:
        pytest.skip("the first huge fault is an oops")


@pytest.fixture(autouse=True)
def complaints(request: pytest.FixtureRequest, cpu_log: dict[str, int]) -> Iterator[dict[str, int]]:
    """The log of warnings; at the end it holds what the design is known for, and nothing else."""
    yield cpu_log
    name = str(
        getattr(request.node, "callspec", None) and request.node.callspec.params.get("design")
    )
    assert set(cpu_log) <= EXPECTED_WARNINGS.get(name, set())
