# SPDX-License-Identifier: GPL-2.0-only
"""Looks for a finding of the explorer on a kernel in a virtual machine, with its window held open."""

from __future__ import annotations

import tempfile
from pathlib import Path

from thplab.agent.confirm.sight import Request, Sight
from thplab.agent.report import WorkDirectory
from thplab.backends.agent_command import guest_command
from thplab.backends.errors import KernelRunError
from thplab.backends.guest import Guest
from thplab.backends.kernel_image import find_kernel
from thplab.backends.kernel_log import keep_kernel_log
from thplab.backends.vm import boot_again, why_failed
from thplab.scenario.errors import InputError
from thplab.scenario.host import Host
from thplab.scenario.units import Size

__all__ = ["confirm"]

_HOST = Host(nodes=(Size(1 << 29), Size(1 << 29)))
_TIME_LIMIT = 600.0
"""A scanner that is held at each instruction of a function in turn takes minutes in emulation."""


def confirm(request: Request, kernel: str, time_limit: float | None = None) -> Sight:
    """Boot a kernel, and look.

    Args:
        request: the finding.
        kernel: see :func:`thplab.backends.kernel_image.find_kernel`.
        time_limit: seconds after which thplab kills the guest; None: ten minutes.

    Raises:
        InputError: it cannot be done on this host or with this kernel; the message says why.
        KernelRunError: the guest failed.
    """
    image = find_kernel(kernel)
    guest = Guest(image, _HOST)
    notes: list[str] = []
    while True:
        with tempfile.TemporaryDirectory(prefix="thplab-guest-") as directory:
            work = WorkDirectory(Path(directory))
            work.write(work.request, request)
            command = guest_command("thplab.agent.confirm")
            end = guest.run(command, work.path, work.marks, time_limit or _TIME_LIMIT)
            sight = work.read(work.sight, Sight)
            failure = work.read(work.failure, str)
            if sight is not None:
                return sight
            if failure is not None:
                raise InputError(f"{image.name} cannot be used for {request.name}: {failure}")
            if not boot_again(guest, end, notes):
                kept = keep_kernel_log(image.name, end.console)
                raise KernelRunError(f"{image.name}: {why_failed(work, end)}", str(kept))
