# SPDX-License-Identifier: GPL-2.0-only
"""Tasks that are held at places of the kernel until others have come as far as is wanted."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import NamedTuple, Self

from thplab.agent.confirm.bpf import Words, attach, load_holder

__all__ = ["Hold", "Window", "named_process"]

_TICK_SECONDS = 0.01


class Hold(NamedTuple):
    """A place, and the task that is held there the first time that it comes by.

    Attributes:
        task: its name, as in /proc/PID/comm.
        function: the place, at its first instruction.
        until: the index of the hold at which another task must have arrived first; None: until :meth:`Window.go_on`.
    """

    task: str
    function: str
    until: int | None = None


class Window:
    """Holds tasks while it is open.

    Args:
        holds: the places; more than one place has programs of its own.
        patience: seconds after which a task goes on, whatever the others do.

    Raises:
        OSError: the kernel has no BPF, no kprobes or no such function.
    """

    def __init__(self, holds: Sequence[Hold], patience: float) -> None:
        self._patience = patience
        self._holds = holds
        self._go_on = len(holds)
        self._missed = len(holds) + 1
        self._words = Words(len(holds) + 2)
        self._programs: list[int] = []
        self._probes: list[int] = []
        try:
            for index, hold in enumerate(holds):
                until = self._go_on if hold.until is None else hold.until
                program = load_holder(
                    self._words,
                    hold.task,
                    arrived=index,
                    until=until,
                    missed=self._missed,
                    patience=patience,
                )
                self._programs.append(program)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def opened(self, offset: int = 0) -> Iterator[None]:
        """Within the context, tasks are held.

        Args:
            offset: of the instruction in each function.

        Raises:
            OSError: there is no such function; EILSEQ: no instruction begins at the offset.
        """
        self._words.clear()
        try:
            for program, hold in zip(self._programs, self._holds, strict=True):
                self._probes.append(attach(program, hold.function, offset))
            yield
        finally:
            self.go_on()
            while self._probes:
                os.close(self._probes.pop())

    def close(self) -> None:
        """Give the programs back."""
        for program in self._programs:
            os.close(program)
        self._words.close()

    def go_on(self) -> None:
        """Let those go on that wait for it."""
        self._words.set(self._go_on)

    def arrived(self, index: int, process: ForkProcess) -> bool:
        """Wait until a task is held at a place; False: the process that should come there has ended, or time is up."""
        give_up = time.monotonic() + self._patience
        while not self._words[index]:
            if not process.is_alive() or time.monotonic() > give_up:
                return bool(self._words[index])
            time.sleep(_TICK_SECONDS)
        return True

    @property
    def held_all(self) -> bool:
        """Whether each task came to its place, and none went on because its patience was over."""
        return (
            all(self._words[index] for index in range(self._go_on))
            and not self._words[self._missed]
        )


@contextlib.contextmanager
def named_process(name: str, cpu: int, do: Callable[[], object]) -> Iterator[ForkProcess]:
    """A child with a name of its own that does one thing on one CPU; it is killed at the context's end."""

    def run() -> None:
        os.sched_setaffinity(0, {cpu})
        Path("/proc/self/comm").write_text(name, encoding="ascii")
        do()

    process = ForkProcess(target=run)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
