# SPDX-License-Identifier: GPL-2.0-only
"""Designs by name, from a file, and from other packages."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from thplab import designs
from thplab.designs.list_lru import ListLruQueue
from thplab.designs.split_queue import SplitQueue
from thplab.errors import DesignError

MINE = """
from thplab.designs.list_lru import ListLruQueue
from thplab.mm.deferred_split import DeferredSplitQueue

class Mine(ListLruQueue):
    pass

class Half(DeferredSplitQueue):
    def enqueue(self, folio, partially_mapped):
        pass

class Stranger:
    pass

number = 7
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return path


def test_the_designs_that_ship_are_known_oldest_kernel_first() -> None:
    shipped = ["split_queue", "split_queue_reparented", "list_lru", "list_lru_v1"]
    assert designs.names()[:4] == shipped
    assert designs.load("split_queue") is SplitQueue
    assert designs.load("list_lru") is ListLruQueue
    for name in shipped:
        assert issubclass(designs.load(name), designs.DeferredSplitQueue)


def test_a_design_of_ones_own_is_loaded_from_a_file(mine: Path) -> None:
    found = designs.load(f"{mine}:Mine")
    assert found.__name__ == "Mine"
    assert issubclass(found, ListLruQueue)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Half", "it lacks unqueue, count_objects, scan_objects, freeze"),
        ("Stranger", "must be a subclass of thplab.designs.DeferredSplitQueue"),
        ("number", "must be a subclass"),
        ("Nobody", "has no class Nobody; it has Mine, Half"),
    ],
)
def test_a_class_that_is_no_design_is_refused(mine: Path, name: str, text: str) -> None:
    with pytest.raises(DesignError) as caught:
        designs.load(f"{mine}:{name}")
    assert text in str(caught.value)
    assert str(mine) in str(caught.value)


def test_a_file_that_is_not_there_or_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match=r"there is no file .*gone\.py; write file.py:Class"):
        designs.load(f"{tmp_path}/gone.py:Mine")
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0", encoding="utf-8")
    with pytest.raises(
        DesignError, match=r"broken\.py: it raised ZeroDivisionError: division by zero"
    ):
        designs.load(f"{broken}:Mine")
    text = tmp_path / "notes.txt"
    text.write_text("", encoding="utf-8")
    with pytest.raises(DesignError, match=r"notes\.txt: it is not a Python file"):
        designs.load(f"{text}:Mine")
    empty = tmp_path / "empty.py"
    empty.write_text("", encoding="utf-8")
    with pytest.raises(DesignError, match=r"has no class Mine$"):
        designs.load(f"{empty}:Mine")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        DesignError, match=r"design 'lru' is not known; there are split_queue, .*list_lru_v1"
    ):
        designs.load("lru")


@pytest.fixture
def offered(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package offers two designs, of which one cannot be loaded."""
    monkeypatch.syspath_prepend(str(mine.parent))
    points = [
        importlib.metadata.EntryPoint("zebra", "mine:Mine", "thplab.designs"),
        importlib.metadata.EntryPoint("broken", "mine_that_is_not:Mine", "thplab.designs"),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)


@pytest.mark.usefixtures("offered")
def test_other_packages_can_offer_designs() -> None:
    assert designs.names()[4:] == ["broken", "zebra"]
    assert designs.load("zebra").__name__ == "Mine"
    with pytest.raises(
        DesignError, match=r"design broken: mine_that_is_not:Mine cannot be loaded: Module"
    ):
        designs.load("broken")
