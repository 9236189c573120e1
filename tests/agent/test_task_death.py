# SPDX-License-Identifier: GPL-2.0-only
"""A task that is found dead is dead from then on."""

from __future__ import annotations

import socket
import subprocess

import pytest

from thplab.agent.task import Task
from thplab.scenario.worlds import TaskIsDead


def test_a_task_that_has_closed_its_channel_is_waited_for() -> None:
    """It closes its channel on the way out; a step that found it alive after that looked for regions it never got."""
    ours, theirs = socket.socketpair()
    with subprocess.Popen(["sleep", "0.3"]) as process:
        task = Task("victim", process.pid, ours)
        theirs.close()
        with pytest.raises(TaskIsDead):
            task.call("munmap", 0, 4096)
        assert not task.alive()
        task.close()
