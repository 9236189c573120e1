# SPDX-License-Identifier: GPL-2.0-only
"""The three ways to do the same work, each in a process of its own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compiled_tree import OUT, ROOT, compiled_tree, reference_program

__all__ = [
    "CGROUPS",
    "NODES",
    "OPERATIONS",
    "Disagreement",
    "Sample",
    "Variant",
    "measure",
    "variants",
]

CGROUPS = 1000
NODES = 8
OPERATIONS = ("create", "queue", "unqueue", "walk", "split", "reparent")


class Disagreement(Exception):
    """Two variants counted differently: they did not do the same work."""


@dataclass(frozen=True)
class Variant:
    """How to start one: the command, and where its Python modules are."""

    name: str
    command: tuple[str, ...]
    python_path: str = ""


@dataclass(frozen=True)
class Sample:
    """What one process measured.

    Attributes:
        rounds: nanoseconds of each operation per folio (reparent: per sublist), for each round.
        bytes_per_folio: growth of the resident set over creating and queueing, the list slot included.
        counters: what the model counted at the end.
    """

    rounds: list[dict[str, float]]
    bytes_per_folio: float
    counters: dict[str, int]


def variants() -> list[Variant]:
    """The C reference, and the model compiled and interpreted; builds what is missing."""
    worker = str(ROOT / "benchmarks" / "worker.py")
    # -P: the worker's own folder, where operations.py is not compiled, stays off the path.
    python = (sys.executable, "-P", worker)
    source = os.pathsep.join([str(ROOT / "src"), str(ROOT / "benchmarks")])
    return [
        Variant("c", (str(reference_program()),)),
        Variant("compiled", (*python, "compiled"), str(compiled_tree())),
        Variant("interpreted", (*python, "interpreted"), source),
    ]


def order_file(folios: int) -> Path:
    """A file with the order in which the folios are unqueued: random, and the same each time."""
    path = OUT / f"order-{folios}"
    if not path.exists():
        order = list(range(folios))
        random.Random(folios).shuffle(order)
        with path.open("wb") as file:
            array("I", order).tofile(file)
    return path


def run(variant: Variant, folios: int, rounds: int) -> Sample:
    """One process of a variant."""
    size = [str(number) for number in (folios, CGROUPS, NODES, rounds)]
    done = subprocess.run(
        [*variant.command, *size, str(order_file(folios))],
        env={**os.environ, "PYTHONPATH": variant.python_path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the variant {variant.name} failed:\n{done.stderr}")
    answer = json.loads(done.stdout)
    return Sample(answer["rounds"], answer["bytes_per_folio"], answer["counters"])


def measure(
    chosen: Sequence[Variant], folios: int, repetitions: int, rounds: int
) -> dict[str, list[Sample]]:
    """Run each variant `repetitions` times, in a shuffled order within each repetition.

    So a slow spell of a shared machine hits all of them alike.

    Raises:
        Disagreement: the counters of two runs differ.
    """
    samples: dict[str, list[Sample]] = {variant.name: [] for variant in chosen}
    shuffler = random.Random(0)
    counters: dict[str, int] | None = None
    for _ in range(repetitions):
        for variant in shuffler.sample(list(chosen), len(chosen)):
            sample = run(variant, folios, rounds)
            samples[variant.name].append(sample)
            if counters is None:
                counters = sample.counters
            if sample.counters != counters:
                raise Disagreement(f"{variant.name}: {sample.counters}, others: {counters}")
    return samples
