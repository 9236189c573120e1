# SPDX-License-Identifier: GPL-2.0-only
"""A task as the agent sees it: a process that it commands, and the regions that the process has mapped."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from thplab.agent import system_calls
from thplab.agent.task_process import COMMAND, REPLY, Operation, become_task
from thplab.mm.geometry import HPAGE_PMD_SIZE
from thplab.scenario.policies import Policy, lacks_policy
from thplab.scenario.worlds import NotOffered, TaskIsDead

__all__ = ["Region", "Task"]

_TOP = 0x5000_0000_0000
_GAP = 1 << 30


class Region:
    """A region's place in its task. Bytes; the address is aligned to a huge page."""

    def __init__(self, address: int, size: int) -> None:
        self.address = address
        self.size = size


class Task:
    """One process of a scenario.

    Regions lie a terabyte apart, so that no two of them ever share a huge page or a mapping.

    Attributes:
        name: the task's name in the scenario.
        pid: its process id.
        regions: by name.
        ended: the agent has ended it.
        turn: each region begins at a multiple of so many huge pages, so that interleaving, which depends on the
            address, begins with its first node.
    """

    def __init__(self, name: str, pid: int, channel: socket.socket) -> None:
        self.name = name
        self.pid = pid
        self.regions: dict[str, Region] = {}
        self._channel = channel
        self._pidfd = os.pidfd_open(pid)
        self.ended = False
        self.turn = 1
        self._lowest = _TOP

    @classmethod
    def start(cls, name: str, others: list[Task], oom_score_adj: int) -> Self:
        """Fork the task's process.

        Args:
            name: for messages.
            others: the existing tasks, whose channels the child must not hold open.
            oom_score_adj: -1000 to 1000, /proc/PID/oom_score_adj.
        """
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for other in others:
                other.close()
            Path("/proc/self/oom_score_adj").write_text(str(oom_score_adj), encoding="ascii")
            become_task(theirs)
        theirs.close()
        return cls(name, pid, ours)

    # Each of these makes the task do one thing, and waits until it is done.
    #
    # Raises:
    #     OSError: the kernel refused, with its errno.
    #     TaskIsDead: the task was killed before it was done.

    def call(self, function: str, *arguments: int) -> int:
        """A function of the C library, with numbers."""
        return self._command(Operation.CALL, *arguments, name=function)

    def touch(self, address: int, length: int, value: int) -> None:
        """Write `value` to the first byte of each base page, in ascending order."""
        self._command(Operation.TOUCH, address, length, value)

    def mbind(self, address: int, length: int, policy: Policy) -> None:
        """mbind(2): pages that are present stay where they are.

        Raises:
            NotOffered: the kernel lacks the policy's mode.
        """
        with _if_known(policy):
            self._command(Operation.MBIND, address, length, *_policy_words(policy))

    def set_mempolicy(self, policy: Policy) -> None:
        """set_mempolicy(2). Raises as :meth:`mbind` does."""
        with _if_known(policy):
            self._command(Operation.SET_MEMPOLICY, *_policy_words(policy))

    def _command(self, operation: int, *arguments: int, name: str = "") -> int:
        self._send(operation, *arguments, name=name)
        return self._receive()

    def _send(self, operation: int, *arguments: int, name: str = "") -> None:
        padding = (0,) * (6 - len(arguments))
        try:
            self._channel.sendall(
                COMMAND.pack(operation, name.encode("ascii"), *arguments, *padding)
            )
        except (BrokenPipeError, ConnectionResetError):
            # A task that ends closes its channel first, and is alive for a moment longer.
            self.wait()
            raise TaskIsDead(self.name) from None

    def _receive(self) -> int:
        try:
            reply = self._channel.recv(REPLY.size, socket.MSG_WAITALL)
        except ConnectionResetError:
            reply = b""
        if len(reply) < REPLY.size:
            self.wait()
            raise TaskIsDead(self.name)
        result, number = REPLY.unpack(reply)
        if number:
            raise OSError(number, os.strerror(number))
        return int(result)

    def fork(self, name: str) -> Task:
        """fork(2) in the task; the child has copies of its regions, at the same addresses."""
        ours, theirs = socket.socketpair()
        self._send(Operation.FORK)
        socket.send_fds(self._channel, [b"f"], [theirs.fileno()])
        theirs.close()
        self._receive()
        hello = ours.recv(REPLY.size, socket.MSG_WAITALL)  # the child sends its process id
        if len(hello) < REPLY.size:
            raise TaskIsDead(name)
        pid, _ = REPLY.unpack(hello)
        child = Task(name, pid, ours)
        child.regions = {
            region: Region(place.address, place.size) for region, place in self.regions.items()
        }
        child._lowest = self._lowest
        child.turn = self.turn
        return child

    def map_region(self, name: str, size: int) -> tuple[int, int]:
        """Map private anonymous memory for a region, without a fault; return its address and length."""
        address, length = self.map_nameless(size)
        self.regions[name] = Region(address, length)
        return address, length

    def map_nameless(self, size: int) -> tuple[int, int]:
        """Map memory that is no region.

        It lies below all others, where mmap(2) would place it, because khugepaged scans in the order of
        addresses. The gap keeps neighbours from becoming one VMA.
        """
        unit = self.turn * HPAGE_PMD_SIZE
        address = (self._lowest - _GAP - size) // unit * unit
        protection, flags = system_calls.PROT_READ_WRITE, system_calls.MAP_REGION
        self.call("mmap", address, size, protection, flags, -1)
        self._lowest = address
        return address, size

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._pidfd != -1 and not select.select([self._pidfd], [], [], 0)[0]

    def wait(self) -> None:
        """Wait until the process has ended and the kernel has freed its memory."""
        if self._pidfd == -1:
            return
        select.select([self._pidfd], [], [])
        with contextlib.suppress(ChildProcessError):  # not our child but a task's, which reaps it
            os.waitpid(self.pid, 0)

    def end(self) -> None:
        """Make the task exit, and wait for it."""
        self.ended = True
        with contextlib.suppress(TaskIsDead):
            self._send(Operation.EXIT)
        self.wait()
        self.close()

    def kill(self) -> None:
        """Kill the task if it still runs, and wait for it."""
        if self.alive():
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self.wait()
        self.close()

    def close(self) -> None:
        """Close the channel to the task, which then counts as dead."""
        if self._pidfd != -1:
            self._channel.close()
            os.close(self._pidfd)
            self._pidfd = -1


@contextlib.contextmanager
def _if_known(policy: Policy) -> Iterator[None]:
    """Turn the refusal of a mode that the kernel does not know into NotOffered."""
    try:
        yield
    except OSError as error:
        lack = lacks_policy(policy, error)
        if lack:
            raise NotOffered(lack) from None
        raise


def _policy_words(policy: Policy) -> tuple[int, int]:
    """A policy in the form of mbind(2): the mode, and the mask of its nodes."""
    return system_calls.policy_mode(policy.mode), sum(1 << node for node in policy.nodes)
