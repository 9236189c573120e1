# SPDX-License-Identifier: GPL-2.0-only
"""A cgroup that goes offline moves node by node, and the explorer sees what is in between."""

from __future__ import annotations

import pytest

from thplab import designs
from thplab.explorer.cases.machine_world import Lanes, MachineCase, MachineWorld
from thplab.explorer.session import search
from thplab.mm.mempolicy import Mempolicy

OWNERS = {("/c", "/c"), ("/c", "/"), ("/", "/c"), ("/", "/")}


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ("split_queue", {("/c", "/c")}),
        ("split_queue_reparented", OWNERS),
        ("list_lru", OWNERS),
    ],
)
def test_of_two_folios_the_first_can_have_moved_and_the_second_not(
    design: str, expected: set[tuple[str, ...]]
) -> None:
    """Who reads node 0 first, and then finds node 1 with the old cgroup, met the cgroup between two nodes."""
    seen: set[tuple[str, ...]] = set()

    def setup(world: MachineWorld) -> Lanes:
        folios = []
        for nid in (0, 1):
            world.task.policy = Mempolicy("bind", [nid])
            world.map_huge()
            folios.append(world.folios[-1])
        charges = world.machine.charges

        def look() -> None:
            found = []
            for folio in folios:
                memcg = charges.get_mem_cgroup_from_folio(folio)
                found.append(memcg.path)
                memcg.css_put()
            seen.add(tuple(found))

        return look, world.rmdir

    case = MachineCase("half-moved", "owners of folios on two nodes", setup, nodes=2)
    verdict = search(case.on(designs.load(design), None), bound=2)
    assert verdict.failure is None
    assert verdict.exhausted
    assert seen == expected
