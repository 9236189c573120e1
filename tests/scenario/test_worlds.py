# SPDX-License-Identifier: GPL-2.0-only
"""The model and a running kernel are the worlds that a step file sees."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import pytest

from thplab.agent.kernel_world import KernelWorld
from thplab.agent.task import Task
from thplab.backends.model_world import ModelWorld
from thplab.scenario import worlds

if TYPE_CHECKING:
    # mypy holds the signatures against each other here.
    def as_a_step_sees_them(
        model: ModelWorld, kernel: KernelWorld, task: Task
    ) -> tuple[worlds.ModelWorld, worlds.KernelWorld, worlds.KernelTask]:
        return model, kernel, task


@pytest.mark.parametrize(
    ("interface", "kind"),
    [
        (worlds.ModelWorld, ModelWorld),
        (worlds.KernelWorld, KernelWorld),
        (worlds.KernelTask, Task),
    ],
    ids=["model", "kernel", "task"],
)
def test_a_world_has_what_steps_may_ask_for(interface: type, kind: type) -> None:
    promised = {
        name: value
        for name, value in vars(interface).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    assert promised
    for name, function in promised.items():
        offered = inspect.signature(getattr(kind, name))
        assert list(offered.parameters) == list(inspect.signature(function).parameters), name
