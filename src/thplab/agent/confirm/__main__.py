# SPDX-License-Identifier: GPL-2.0-only
"""`python -m thplab.agent.confirm --work DIRECTORY`: look for one finding on the kernel that this runs on.

The work directory holds request.json; this adds sight.json, or failure.txt with the reason why it cannot be done here.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from thplab.agent.confirm.scenes import SCENES, Scene
from thplab.agent.confirm.sight import Request, Sight
from thplab.agent.khugepaged import Parking
from thplab.agent.probe import probe_design
from thplab.agent.report import WorkDirectory
from thplab.agent.session import stay_on_first_node
from thplab.agent.system_calls import disable_thp
from thplab.agent.tunables import Tunables
from thplab.observe.shrinker_debugfs import find_deferred_split_shrinker, why_no_shrinker_debugfs

__all__ = ["main"]

_BASE = Path("/sys/fs/cgroup")


def main() -> int:
    """Look; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m thplab.agent.confirm", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="DIRECTORY")
    work = WorkDirectory(parser.parse_args().work)
    request = work.read(work.request, Request)
    assert request is not None
    try:
        work.write(work.sight, _look(request))
    except OSError as error:
        work.write(work.failure, getattr(error, "strerror", None) or str(error))
        return 2
    work.write(work.done, os.uname().release)
    return 0


def _look(request: Request) -> Sight:
    stay_on_first_node()
    disable_thp(True)
    tunables = Tunables(None)
    parking = Parking(tunables)
    try:
        parking.park()
        verdict = probe_design(_BASE, tunables)
        if verdict.design not in request.designs:
            expected = " and ".join(request.designs)
            raise OSError(
                f"this kernel has {verdict.design} ({verdict.how}); the finding is one of {expected}"
            )
        shrinker = find_deferred_split_shrinker()
        if shrinker is None:
            raise OSError(why_no_shrinker_debugfs())
        scene = Scene(_BASE, tunables, shrinker)
        try:
            return SCENES[request.name](scene)
        finally:
            scene.close()
    finally:
        parking.end()
        tunables.restore()


if __name__ == "__main__":
    sys.exit(main())
