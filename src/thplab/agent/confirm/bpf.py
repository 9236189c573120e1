# SPDX-License-Identifier: GPL-2.0-only
"""A BPF program that holds one task at a kprobe, loaded by bpf(2) without a library and without BTF of the kernel.

The program looks at the task's name. The first time that the task comes by, it sets one word that it shares with
this process, and runs in a loop until another word is set or its patience is over. The CPU does nothing else
meanwhile, except interrupts where the probe is at the first instruction of a function.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from pathlib import Path

__all__ = ["Words", "attach", "load_holder"]

_SYS_PERF_EVENT_OPEN, _SYS_BPF = 298, 321  # of x86-64, the only machine of our guests
_MAP_CREATE, _PROG_LOAD, _BTF_LOAD = 0, 5, 18
_MAP_TYPE_ARRAY, _MMAPABLE = 2, 1 << 10
_PROG_TYPE_KPROBE = 2

# The kernel's helpers, by number (include/uapi/linux/bpf.h).
_KTIME_GET_NS, _GET_CURRENT_COMM, _LOOP = 5, 16, 181
_MOST_ROUNDS = 1 << 23
_LOOPS = 32
"""So many loops of the most rounds last longer than any patience."""

# Instructions: class, operation and size in one byte.
_MOV, _MOV_REG, _ADD, _ADD_REG = 0xB7, 0xBF, 0x07, 0x0F
_LOAD, _STORE, _STORE_REG = 0x79, 0x7A, 0x7B
_CALL, _EXIT = 0x85, 0x95
_IF_ZERO, _IF_SET, _IF_EQUAL_REG, _IF_MORE_REG = 0x15, 0x55, 0x1D, 0x2D
_LOAD_WIDE, _OF_MAP, _OF_FUNCTION = 0x18, 2, 4
_FRAME = 10

_PERF_ENABLE, _PERF_SET_BPF, _PERF_CLOEXEC = 0x2400, 0x40042408, 8
_PERF_SIZE = 136
_KPROBES = Path("/sys/bus/event_source/devices/kprobe/type")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _system_call(what: str, number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        lacks = "; CONFIG_BPF_SYSCALL brings it" if error == errno.ENOSYS else ""
        raise OSError(error, f"{what}: {os.strerror(error)}{lacks}")
    return result


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    size = ctypes.c_uint(len(attributes))
    return _system_call("bpf(2)", _SYS_BPF, ctypes.c_int(command), buffer, size)


class Words:
    """Words that this process and the programs see; each is 0 until somebody sets it to 1.

    Raises:
        OSError: the kernel has no BPF, or refuses it.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.map = _bpf(
            _MAP_CREATE, struct.pack("=5I", _MAP_TYPE_ARRAY, 4, count * 8, 1, _MMAPABLE)
        )
        self._memory = mmap.mmap(self.map, count * 8)

    def __getitem__(self, index: int) -> int:
        return self._memory[index * 8]

    def set(self, index: int) -> None:
        """Set a word."""
        self._memory[index * 8] = 1

    def clear(self) -> None:
        """Set all of them to 0."""
        self._memory[:] = bytes(self.count * 8)

    def close(self) -> None:
        """Nobody uses them any more."""
        self._memory.close()
        os.close(self.map)


def _one(code: int, to: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, source << 4 | to, offset, value)


def _wide(to: int, kind: int, value: int) -> bytes:
    """An instruction of two words: a number of 64 bits, the address of a map's value or of a function."""
    low, high = struct.unpack("=ii", value.to_bytes(8, "little", signed=value < 0))
    if kind:
        high = 0
    return struct.pack("=BBhiBBhi", _LOAD_WIDE, kind << 4 | to, 0, low, 0, 0, 0, high)


def _holder(
    words: Words, task: str, arrived: int, until: int, missed: int, patience: float
) -> tuple[bytes, int]:
    """The program, and the number of the instruction at which the body of its loop begins."""
    leave = _one(_MOV, 0) + _one(_EXIT)
    the_words = _wide(1, _OF_MAP, words.map)
    text = _one(_MOV_REG, 1, _FRAME) + _one(_ADD, 1, value=-16) + _one(_MOV, 2, value=16)
    text += _one(_CALL, value=_GET_CURRENT_COMM)
    name = task.encode("ascii").ljust(16, b"\0")
    for place in (0, 8):
        text += _one(_LOAD, 1, _FRAME, place - 16)
        text += _wide(2, 0, int.from_bytes(name[place : place + 8], "little"))
        text += _one(_IF_EQUAL_REG, 1, 2, offset=2) + leave
    text += the_words + _one(_LOAD, 2, 1, arrived * 8) + _one(_IF_ZERO, 2, offset=2) + leave
    text += _one(_STORE, 1, offset=arrived * 8, value=1) + _one(_CALL, value=_KTIME_GET_NS)
    text += (
        _wide(1, 0, int(patience * 1e9)) + _one(_ADD_REG, 0, 1) + _one(_STORE_REG, _FRAME, 0, -24)
    )
    loop_length = 7
    end = the_words + _one(_LOAD, 2, 1, until * 8) + _one(_IF_SET, 2, offset=1)
    end += _one(_STORE, 1, offset=missed * 8, value=1) + leave
    body = len(text) // 8 + _LOOPS * loop_length + len(end) // 8
    for _ in range(_LOOPS):
        text += _one(_MOV, 1, value=_MOST_ROUNDS)
        text += _wide(2, _OF_FUNCTION, body - len(text) // 8 - 1)
        text += _one(_MOV_REG, 3, _FRAME) + _one(_ADD, 3, value=-24) + _one(_MOV, 4)
        text += _one(_CALL, value=_LOOP)
    text += end
    # The body of the loop: 1, to leave it, if the word is set or the time is over.
    text += (
        _one(_MOV_REG, 6, 2) + the_words + _one(_LOAD, 1, 1, until * 8) + _one(_IF_SET, 1, offset=3)
    )
    text += _one(_CALL, value=_KTIME_GET_NS) + _one(_LOAD, 1, 6)
    text += _one(_IF_MORE_REG, 1, 0, offset=2) + _one(_MOV, 0, value=1) + _one(_EXIT) + leave
    return text, body


def _types() -> bytes:
    """BTF of our two functions, without which the kernel takes no function as a loop's body."""
    strings = b"\0int\0long\0index\0context\0hold\0"

    def word(name: bytes) -> int:
        return strings.index(b"\0" + name + b"\0") + 1

    types = struct.pack("=4I", word(b"int"), 1 << 24, 4, 1 << 24 | 32)
    types += struct.pack("=4I", word(b"long"), 1 << 24, 8, 64)
    types += struct.pack("=3I", 0, 2 << 24, 0)
    types += struct.pack("=5I", 0, 13 << 24 | 1, 1, word(b"context"), 3)
    types += struct.pack("=7I", 0, 13 << 24 | 2, 1, word(b"index"), 2, word(b"context"), 3)
    types += struct.pack("=3I", word(b"hold"), 12 << 24, 4)
    types += struct.pack("=3I", word(b"hold"), 12 << 24, 5)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return header + types + strings


_PROGRAM_TYPE, _BODY_TYPE = 6, 7


def load_holder(
    words: Words, task: str, *, arrived: int, until: int, missed: int, patience: float
) -> int:
    """Load the program; return its descriptor.

    Args:
        words: shared with all programs.
        task: the name of the task that is held; others pass.
        arrived: the word that is set when the task arrives. If it is set already, the task passes.
        until: the word that lets the task go on.
        missed: the word that is set if the patience was over first.
        patience: seconds.

    Raises:
        OSError: the kernel refuses; the text has what its verifier said.
    """
    text, body = _holder(words, task, arrived, until, missed, patience)
    instructions = ctypes.create_string_buffer(text, len(text))
    types = ctypes.create_string_buffer(_types(), len(_types()))
    functions = ctypes.create_string_buffer(
        struct.pack("=4I", 0, _PROGRAM_TYPE, body, _BODY_TYPE), 16
    )
    licence = ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(1 << 16)
    address = ctypes.addressof
    btf = _bpf(_BTF_LOAD, struct.pack("=QQIIII", address(types), 0, len(_types()), 0, 0, 0))
    attributes = struct.pack(
        "=IIQQ", _PROG_TYPE_KPROBE, len(text) // 8, address(instructions), address(licence)
    )
    attributes += struct.pack("=IIQII16sII", 1, len(log), address(log), 0, 0, b"hold", 0, 0)
    attributes += struct.pack("=IIQI4x", btf, 8, address(functions), 2)
    try:
        return _bpf(_PROG_LOAD, attributes)
    except OSError as error:
        said = log.value.decode(errors="replace").strip().splitlines()[-3:]
        raise OSError(error.errno, " / ".join([str(error.strerror), *said])) from None
    finally:
        os.close(btf)


def attach(program: int, function: str, offset: int = 0) -> int:
    """Have a program run at an instruction of a function, on every CPU; return the probe's descriptor.

    Raises:
        OSError: the kernel has no kprobes, or no such function; EILSEQ: no instruction begins at the offset.
    """
    if not _KPROBES.exists():
        raise OSError(errno.ENOENT, "this kernel has no kprobes for perf (CONFIG_KPROBE_EVENTS)")
    kind = int(_KPROBES.read_text(encoding="ascii"))
    name = ctypes.create_string_buffer(function.encode("ascii"))
    attributes = bytearray(_PERF_SIZE)
    struct.pack_into("=II", attributes, 0, kind, _PERF_SIZE)
    struct.pack_into("=QQ", attributes, 56, ctypes.addressof(name), offset)
    probe = _system_call(
        f"perf_event_open(2), kprobe at {function}+{offset:#x}",
        _SYS_PERF_EVENT_OPEN,
        ctypes.create_string_buffer(bytes(attributes), _PERF_SIZE),
        ctypes.c_int(-1),
        ctypes.c_int(0),  # events of CPU 0; the program runs on the others too
        ctypes.c_int(-1),
        ctypes.c_ulong(_PERF_CLOEXEC),
    )
    try:
        fcntl.ioctl(probe, _PERF_SET_BPF, program)
        fcntl.ioctl(probe, _PERF_ENABLE, 0)
    except OSError:
        os.close(probe)
        raise
    return probe
