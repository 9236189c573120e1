# SPDX-License-Identifier: GPL-2.0-only
"""Time the model's operations in this process, and print what the C reference prints.

worker.py compiled|interpreted FOLIOS CGROUPS NODES ROUNDS ORDER
"""

from __future__ import annotations

import gc
import json
import sys
from array import array
from pathlib import Path

import operations
from thplab.cpu import hook


def main() -> int:
    """Run the rounds; refuse if the modules found are not the ones to be timed."""
    kind, *numbers, order_path = sys.argv[1:]
    for module in (operations, hook):
        found = "compiled" if str(module.__file__).endswith(".so") else "interpreted"
        if found != kind:
            print(f"{module.__file__} is {found}, {kind} is wanted", file=sys.stderr)
            return 1
    folios, cgroups, nodes, rounds = (int(number) for number in numbers)
    order = array("I")
    with Path(order_path).open("rb") as file:
        order.fromfile(file, folios)
    # The interpreter's collector would charge one operation for the objects of another.
    gc.disable()
    timed = []
    counters: dict[str, int] = {}
    size = 0.0
    for number in range(rounds):
        one = operations.Round(folios, cgroups, nodes, list(order))
        timed.append(one.run())
        counters = one.counters()
        if number == 0:
            size = one.bytes_per_folio
        one.close()
        del one
        gc.collect()
    answer = {"rounds": timed, "bytes_per_folio": size, "counters": counters}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
