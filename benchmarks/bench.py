# SPDX-License-Identifier: GPL-2.0-only
"""Speed and size of the model: what is wanted beside what is reached.

    make bench                     everything (several minutes)
    make bench BENCH_ARGS=--quick  fewer repetitions, no scale of 4,194,304
    make bench-check               10,000 folios only; fails when a ratio is far from what is wanted

Run it with the Python of an environment in which thplab is installed. What is printed is written
to benchmarks/out/bench.json too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import wanted
from compiled_tree import OUT, ROOT, BuildFailed
from end_to_end import Cost, run_scenario, scaled_scenario
from figures import Goal, Spread, goals_table, operations_table, spread_of, spreads
from variants import OPERATIONS, Disagreement, Sample, measure, variants

SMALL = 10_000
LARGE = 1_000_000
DESIGN = "list_lru"
TERABYTE = ROOT / "scenarios" / "terabyte.toml"


@dataclass(frozen=True)
class Effort:
    """How often each thing is measured."""

    small: int = 5
    small_rounds: int = 12
    large: int = 5
    scenario: int = 5
    scale: int = 3


def say(text: str) -> None:
    """What goes on, while it goes on."""
    print(f"-- {text} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def speed_goals(measured: dict[str, dict[str, Spread]]) -> list[Goal]:
    """At 10,000 folios: how far from C, how far from the interpreter."""
    goals = []
    for operation in OPERATIONS:
        c, compiled, interpreted = (
            measured[name][operation].median for name in ("c", "compiled", "interpreted")
        )
        name = f"{operation}, 10,000 folios"
        goals.append(Goal(f"{name}: compiled / C", wanted.at_most(operation), compiled / c))
        goals.append(
            Goal(
                f"{name}: interpreted / compiled",
                wanted.SPEEDUP,
                interpreted / compiled,
                at_least=True,
            )
        )
    return goals


def size_goal(samples: Sequence[Sample]) -> Goal:
    """Bytes of a queued folio at 1,000,000, beyond its list slot.

    The slots are made before memory is looked at first, so what is measured is without them.
    """
    reached = statistics.median(sample.bytes_per_folio for sample in samples)
    return Goal("a queued folio, 1,000,000 folios", wanted.BYTES_PER_FOLIO, reached, "bytes")


def terabyte_goals(costs: Sequence[Cost]) -> list[Goal]:
    """Time and peak memory of scenarios/terabyte.toml."""
    seconds = statistics.median(cost.seconds for cost in costs)
    mib = max(cost.peak_mib for cost in costs)
    return [
        Goal("terabyte.toml: time", wanted.TERABYTE_SECONDS, seconds, "s"),
        Goal("terabyte.toml: peak memory", wanted.TERABYTE_MIB, mib, "MiB"),
    ]


def repeat_scenario(path: Path, times: int) -> list[Cost]:
    """The costs of as many runs."""
    say(f"{path.name}, {times} times")
    return [run_scenario(path, DESIGN) for _ in range(times)]


def scale_goal(repetitions: int, report: dict[str, object]) -> Goal:
    """The cost of a folio in a large and a small scenario of the same shape.

    What the command costs without folios to speak of (start, cgroups, output) is taken off both.
    """
    sizes = (512, wanted.SCALE_FROM, wanted.SCALE_TO)
    paths = {folios: scaled_scenario(folios) for folios in sizes}
    costs: dict[int, list[float]] = {folios: [] for folios in sizes}
    for _ in range(repetitions):
        for folios in sizes:
            say(f"{folios:,} folios end to end")
            costs[folios].append(run_scenario(paths[folios], DESIGN).cpu_seconds)
    base = statistics.median(costs[512])
    each = {
        folios: (statistics.median(costs[folios]) - base) / folios * 1e9 for folios in sizes[1:]
    }
    report["scale"] = {"cpu_seconds": costs, "ns_per_folio": each}
    print(f"\nend to end, ns for each folio: {', '.join(f'{each[n]:.0f} of {n:,}' for n in each)}")
    ratio = each[wanted.SCALE_TO] / each[wanted.SCALE_FROM]
    return Goal("a folio of 4,194,304 / of 65,536, end to end", wanted.SCALE_RATIO, ratio)


def measure_size(
    folios: int, repetitions: int, rounds: int, report: dict[str, object]
) -> tuple[dict[str, dict[str, Spread]], dict[str, list[Sample]]]:
    """All variants at one size, printed and reported."""
    say(f"{folios:,} folios, {repetitions} repetitions of {rounds} rounds")
    samples = measure(variants(), folios, repetitions, rounds)
    measured = {name: spreads(each) for name, each in samples.items()}
    print(f"\n{operations_table(folios, measured)}")
    memory = {name: spread_of(s.bytes_per_folio for s in each) for name, each in samples.items()}
    print("bytes of a queued folio: " + ", ".join(f"{n} {m.median:.0f}" for n, m in memory.items()))
    report[f"{folios} folios"] = {
        name: {
            "nanoseconds": {key: asdict(spread) for key, spread in measured[name].items()},
            "bytes_per_folio": asdict(memory[name]),
        }
        for name in samples
    }
    return measured, samples


def check(report: dict[str, object]) -> int:
    """The ratios at 10,000 folios, with a wide margin: 1 if one is beyond it."""
    goals = speed_goals(measure_size(SMALL, 3, 8, report)[0])
    print(f"\n{goals_table(goals)}")
    far_off = [
        goal.name
        for goal in goals
        if not goal.held(wanted.CHECK_SPEEDUP if goal.at_least else wanted.CHECK_SLOWER)
    ]
    for name in far_off:
        print(f"far from what is wanted: {name}", file=sys.stderr)
    return 1 if far_off else 0


def full(effort: Effort, report: dict[str, object]) -> int:
    """All figures. Missed goals are shown, and are no failure of the run."""
    small, _ = measure_size(SMALL, effort.small, effort.small_rounds, report)
    _, large_samples = measure_size(LARGE, effort.large, 1, report)
    goals = [*speed_goals(small), size_goal(large_samples["compiled"])]
    costs = repeat_scenario(TERABYTE, effort.scenario)
    report["terabyte"] = [asdict(cost) for cost in costs]
    goals += terabyte_goals(costs)
    if effort.scale:
        goals.append(scale_goal(effort.scale, report))
    report["goals"] = [goal.as_json() for goal in goals]
    print(f"\n{goals_table(goals)}")
    return 0


def main() -> int:
    """Parse the options, measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description="speed and size of the model")
    parser.add_argument("--check", action="store_true", help="10,000 folios; fail if far off")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, no large scale")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    report: dict[str, object] = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "load": os.getloadavg(),
    }
    begin = time.monotonic()
    try:
        if options.check:
            status = check(report)
        else:
            effort = Effort(2, 6, 2, 2, 0) if options.quick else Effort()
            status = full(effort, report)
    except (BuildFailed, Disagreement, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    report["seconds"] = time.monotonic() - begin
    path = OUT / "bench.json"
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {path.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main())
