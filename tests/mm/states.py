# SPDX-License-Identifier: GPL-2.0-only
"""What the stateful tests of the model have in common."""

from __future__ import annotations

from hypothesis.stateful import RuleBasedStateMachine

from thplab.mm.machine import Machine


class OneMachine(RuleBasedStateMachine):
    """All that happens, happens on one machine's own CPU; its log has the warnings."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine
        self._entered = machine.entered()
        self._entered.__enter__()

    def teardown(self) -> None:
        self.machine.teardown()
        self._entered.__exit__(None, None, None)
