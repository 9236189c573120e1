# SPDX-License-Identifier: GPL-2.0-only
"""A failing schedule as one word, that repeats it on another machine.

It has the case, the design, the allocation that failed, the schedule as runs of steps, and a
fingerprint of the case: what its first execution does, step by step. So an id of another version,
or of another case, is told from one that fits.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from typing import Any

from thplab.errors import InputError
from thplab.explorer.core_check import Case
from thplab.explorer.core_search import Failure
from thplab.explorer.fingerprint import fingerprint
from thplab.explorer.shrink import blocks

__all__ = ["FORMAT", "Recording", "decode", "encode"]

FORMAT = 1


@dataclass(frozen=True)
class Recording:
    """What an id stands for.

    Attributes:
        case: a standard case's name, or a bug's number, "-fixed" for the code without it.
        design: as given to --design; "" for a bug's own.
        print: the fingerprint.
        fault: the lane and number of the allocation that fails, or (-1, -1).
        schedule: the lane of each step.
    """

    case: str
    design: str
    print: int
    fault: tuple[int, int]
    schedule: list[int]


def encode(case: Case, failure: Failure) -> str:
    """The id of a failure, of a case whose design has a name."""
    content = [
        FORMAT,
        case.name,
        case.design_name,
        fingerprint(case),
        failure.fail_lane,
        failure.fail_nth,
        [number for run in blocks(failure.schedule) for number in run],
    ]
    data = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)
    checked = zlib.crc32(data).to_bytes(4, "big") + data
    return base64.b32encode(checked).decode("ascii").rstrip("=").lower()


def decode(text: str) -> Recording:
    """What the id stands for.

    Raises:
        InputError: it is damaged, or of a version that writes ids differently.
    """
    word = "".join(text.split()).upper()
    try:
        checked = base64.b32decode(word + "=" * (-len(word) % 8))
        check, data = int.from_bytes(checked[:4], "big"), checked[4:]
        intact = zlib.crc32(data) == check
        content: list[Any] = json.loads(zlib.decompress(data if intact else b""))
    except (ValueError, binascii.Error, zlib.error) as error:
        raise InputError(
            f"replay id {text[:20]}...: it is damaged or cut short ({error})"
        ) from error
    if not content or content[0] != FORMAT:
        raise InputError(
            f"replay id {text[:20]}...: its format is {content[0] if content else 'unknown'}, "
            f"this version writes {FORMAT}"
        )
    try:
        _, name, design, mark, lane, nth, runs = content
        pairs = list(zip(runs[::2], runs[1::2], strict=True))
        schedule = [int(number) for number, steps in pairs for _ in range(steps)]
        return Recording(str(name), str(design), int(mark), (int(lane), int(nth)), schedule)
    except (TypeError, ValueError) as error:
        raise InputError(f"replay id {text[:20]}...: it has no schedule ({error})") from error
