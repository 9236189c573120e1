# SPDX-License-Identifier: GPL-2.0-only
"""Whole commands: time and peak memory of a scenario, as a user runs it with the installed thplab."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from compiled_tree import OUT

__all__ = ["Cost", "run_scenario", "scaled_scenario"]

CGROUPS = 512
NODES = 8

SCALED = """\
name = "scaled"
summary = "{folios} huge pages in {cgroups} cgroups on {nodes} nodes, half unmapped, then reclaim on one node."

[host]
nodes = [{sizes}]

[cgroups]
"/job{{000..{last}}}" = {{}}

[tasks]
"job{{000..{last}}}" = {{ cgroup = "/job{{000..{last}}}" }}

[[steps]]
do = "map"
task = "job{{000..{last}}}"
region = "heap"
size = "{megabytes}M"
node = "{{0..{last_node}}}"

[[steps]]
do = "touch"
task = "job{{000..{last}}}"
region = "heap"

[[steps]]
do = "discard"
task = "job{{000..{last}}}"
region = "heap"
part = "upper half of each huge page"

[[steps]]
do = "reclaim"
node = 0
size = "{reclaim}M"

[[steps]]
do = "observe"
label = "after"
"""


@dataclass(frozen=True)
class Cost:
    """What a command cost: wall-clock and processor seconds, peak resident MiB, its exit status."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    status: int


def scaled_scenario(folios: int) -> Path:
    """A file with the shape of scenarios/terabyte.toml and another number of huge pages.

    Cgroups and nodes stay the same, so only the number of folios differs.
    """
    megabytes = folios // CGROUPS * 2
    per_node = megabytes * CGROUPS // NODES
    text = SCALED.format(
        folios=folios,
        cgroups=CGROUPS,
        nodes=NODES,
        last=f"{CGROUPS - 1:03}",
        last_node=NODES - 1,
        megabytes=megabytes,
        # A sixteenth more than is used, for the watermarks.
        sizes=", ".join([f'"{per_node + per_node // 16 + 1024}M"'] * NODES),
        reclaim=per_node // 4,
    )
    path = OUT / f"scaled-{folios}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def run_scenario(path: Path, design: str) -> Cost:
    """`thplab run PATH --design DESIGN`, by the thplab installed beside this Python.

    Raises:
        RuntimeError: the scenario was not run (exit status 2 and above).
    """
    program = Path(sys.executable).parent / "thplab"
    if not program.exists():
        raise RuntimeError(
            f"{program} is not there: install thplab in this environment (make venv)"
        )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (OUT / "run.out").open("w+b") as said:
        begin = time.monotonic()
        command = [str(program), "run", str(path), "--design", design]
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in {0, 1}:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}:\n{said.read().decode(errors='replace')}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    return Cost(seconds, cpu_seconds, usage.ru_maxrss / 1024, process.returncode)
