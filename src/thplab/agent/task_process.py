# SPDX-License-Identifier: GPL-2.0-only
"""Inside a task: a loop that makes one system call at a time, as the agent commands.

The task is a Python process, and it must not disturb the measurement: it allocates almost
nothing while it runs, and its interpreter's own memory never becomes a huge page.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import struct
import traceback
from pathlib import Path

from thplab.agent import system_calls
from thplab.mm.geometry import PAGE_SIZE

__all__ = ["COMMAND", "REPLY", "Operation", "become_task"]

COMMAND = struct.Struct("=q16s6q")
"""An :class:`Operation`, the name of a function for CALL, and arguments."""
REPLY = struct.Struct("=2q")
"""A result, and an errno or 0."""

_CHUNK = 1024 * PAGE_SIZE


class Operation:
    """What the agent can command; the numbers of :data:`COMMAND`."""

    CALL = 1
    MBIND = 2
    SET_MEMPOLICY = 3
    TOUCH = 4
    FORK = 5
    EXIT = 6


def become_task(channel: socket.socket) -> None:
    """Turn the calling process, a fresh child, into a task. It never returns."""
    system_calls.die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # a task does not wait for its children
    gc.disable()
    _keep_interpreter_out_of_huge_pages()
    system_calls.disable_thp(False)
    status = 1
    try:
        _obey(channel)
        status = 0
    except BaseException:  # noqa: BLE001 -- a process that forked must never return into its parent's code
        traceback.print_exc()
    finally:
        os._exit(status)


def _keep_interpreter_out_of_huge_pages() -> None:
    """MADV_NOHUGEPAGE for each writable anonymous mapping that the interpreter has."""
    for line in Path("/proc/self/maps").read_text(encoding="ascii").splitlines():
        addresses, permissions, _offset, _device, inode, *name = line.split()
        if inode != "0" or "w" not in permissions or name[:1] == ["[stack]"]:
            continue
        start, end = (int(address, 16) for address in addresses.split("-"))
        try:
            system_calls.call("madvise", start, end - start, system_calls.MADV_NOHUGEPAGE)
        except OSError:  # a special mapping, which never has huge pages
            continue


def _obey(channel: socket.socket) -> None:
    while True:
        command = channel.recv(COMMAND.size, socket.MSG_WAITALL)
        if len(command) < COMMAND.size:  # the agent closed its end
            return
        operation, name, *arguments = COMMAND.unpack(command)
        if operation == Operation.EXIT:
            return
        try:
            if operation == Operation.FORK:
                channel = _fork(channel)
                result = os.getpid()
            else:
                result = _perform(operation, name.rstrip(b"\0").decode("ascii"), arguments)
            reply = REPLY.pack(result, 0)
        except OSError as error:
            reply = REPLY.pack(-1, error.errno or 0)
        channel.sendall(reply)


def _perform(operation: int, name: str, arguments: list[int]) -> int:
    if operation == Operation.CALL:
        return system_calls.call(name, *arguments)
    if operation == Operation.MBIND:
        system_calls.mbind(*arguments[:4])
    elif operation == Operation.SET_MEMPOLICY:
        system_calls.set_mempolicy(*arguments[:2])
    elif operation == Operation.TOUCH:
        _touch(*arguments[:3])
    return 0


def _touch(address: int, length: int, value: int) -> None:
    """Write `value` to the first byte of each base page of the range, in ascending order."""
    for start in range(address, address + length, _CHUNK):
        size = min(_CHUNK, address + length - start)
        memory = memoryview((ctypes.c_ubyte * size).from_address(start)).cast("B")
        memory[::PAGE_SIZE] = bytes([value]) * -(-size // PAGE_SIZE)


def _fork(channel: socket.socket) -> socket.socket:
    """fork(2). The child answers on a channel of its own, which the agent sends with the command.

    The child may outlive its parent; when the agent ends, it reads the end of the channel and exits.

    Returns:
        The channel of the process in which it returns.
    """
    _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if os.fork():
        os.close(descriptors[0])
        return channel
    channel.close()
    return socket.socket(fileno=descriptors[0])
