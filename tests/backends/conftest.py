# SPDX-License-Identifier: GPL-2.0-only
"""Kernels to boot, where there are any; a clear reason where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from thplab.backends.guest import find_program
from thplab.backends.kernels_folder import kernels_folder


def kernel_or_skip(name: str) -> Path:
    """The image of this name in the folder of kernels; skips the test if it cannot be booted."""
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("vng", "virtme-ng")):
        if find_program(program) is None:
            pytest.skip(f"no {program} here: install {package}")
    path = kernels_folder() / name
    if not path.is_file():
        pytest.skip(f"no kernel {path}: set THPLAB_KERNELS to a folder that has {name}")
    return path


@pytest.fixture(params=["bzImage-split_queue", "bzImage-list_lru"])
def kernel(request: pytest.FixtureRequest) -> Path:
    """Each of the two kernels in turn."""
    return kernel_or_skip(str(request.param))


@pytest.fixture
def new_kernel() -> Path:
    """The kernel that has the list_lru design."""
    return kernel_or_skip("bzImage-list_lru")
