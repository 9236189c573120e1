# SPDX-License-Identifier: GPL-2.0-only
"""While a kernel runs scenarios, turns a signal to end into an exception, so that thplab cleans up."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["signals_interrupt"]


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Within the context SIGTERM and SIGHUP raise KeyboardInterrupt, as control-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
