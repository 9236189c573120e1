# SPDX-License-Identifier: GPL-2.0-only
"""One execution as a table: a column for each CPU, a line for each step that matters.

The kernel functions are taken from the Python stack, so a trace needs the interpreted source (see
:mod:`thplab.explorer.interpreted`); the schedule is the same either way.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import FrameType

from thplab.cpu.ops import IRQ_OFF, IRQ_ON, NAMES
from thplab.explorer.core import Engine
from thplab.explorer.core_check import Case, Check
from thplab.explorer.core_search import Failure, Tally, execute
from thplab.explorer.core_step import Lane, lane_name
from thplab.explorer.kernel_names import names_of

__all__ = ["Step", "Trace", "TraceEngine", "record", "render"]

# Frames of the machinery and of the primitives are not what a reader wants to see.
_HIDDEN = (
    "/thplab/explorer/core",
    "/thplab/explorer/trace",
    "/thplab/cpu/",
    "/thplab/explorer/cases/machine_world",
)


@dataclass
class Step:
    """One step: who, in which kernel functions (outermost first), what, and the object afterwards."""

    lane: int
    functions: tuple[str, ...]
    operation: str
    before: str
    after: str = ""


@dataclass
class Trace:
    """A whole execution."""

    columns: list[str]
    steps: list[Step] = field(default_factory=list)
    failure: Failure | None = None


def kernel_name(frame: FrameType) -> str | None:
    """The kernel function that this one stands for, by its docstring; None if it stands for none.

    A method that says nothing of it stands for what the one that it overrides stands for.
    """
    code = frame.f_code
    documented = [code.co_consts[0] if code.co_consts else None]
    if "self" in frame.f_locals:
        bases = type(frame.f_locals["self"]).__mro__
        documented += [getattr(vars(base).get(code.co_name), "__doc__", None) for base in bases]
    for doc in documented:
        found = names_of(doc) if isinstance(doc, str) else None
        if found is not None:
            return None if found.part else found.names[0]
    return None


def functions_of(frame: FrameType | None) -> tuple[str, ...]:
    """The kernel functions that lead to this frame, outermost first."""
    found: list[str] = []
    while frame is not None:
        file = frame.f_code.co_filename.replace("\\", "/")
        if not any(part in file for part in _HIDDEN):
            kernel = kernel_name(frame)
            if kernel is not None and (not found or found[-1] != kernel):
                found.append(kernel)
        frame = frame.f_back
    return tuple(reversed(found))


class TraceEngine(Engine):
    """Runs one schedule and notes every step."""

    def __init__(self, case: Case, checks: list[Check]) -> None:
        super().__init__(case, checks)
        self.trace = Trace([lane_name(lane) for lane in self.lanes])

    def _commit(self, lane: Lane) -> None:
        self.finish_step()
        op = int(lane.op)
        # Up to the program of this lane: the greenlet's own frames come first.
        functions = functions_of(sys._getframe(1))
        self.trace.steps.append(Step(int(lane.number), functions, NAMES[op], describe(lane.obj)))
        super()._commit(lane)

    def finish_step(self) -> None:
        """The object of the last step as the step left it."""
        if self.trace.steps and self.n:
            step = self.trace.steps[-1]
            step.after = describe(self.nodes[self.n - 1].obj)


def describe(obj: object) -> str:
    """An object in a few words."""
    return repr(obj)


def record(case: Case, failure: Failure | None, schedule: list[int], checks: list[Check]) -> Trace:
    """Run the schedule again and note every step."""
    engine = TraceEngine(case, checks)
    engine.plan(schedule)
    if failure is not None:
        engine.fail_lane = failure.fail_lane
        engine.fail_nth = failure.fail_nth
    tally = Tally()
    execute(engine, case, tally)
    engine.finish_step()
    engine.trace.failure = tally.failures[0] if tally.failures else failure
    engine.close()
    return engine.trace


def render(trace: Trace, width: int = 58) -> str:
    """The trace as text."""
    lines = ["     " + " | ".join(name.ljust(width) for name in trace.columns).rstrip()]
    shown: dict[int, tuple[str, ...]] = {}
    for number, step in enumerate(trace.steps):
        if step.operation in (NAMES[int(IRQ_OFF)], NAMES[int(IRQ_ON)]):
            continue
        before = shown.get(step.lane, ())
        common = 0
        while (
            common < min(len(before), len(step.functions))
            and before[common] == step.functions[common]
        ):
            common += 1
        for depth in range(common, len(step.functions)):
            lines.append(_line("", trace, step.lane, "  " * depth + step.functions[depth], width))
        shown[step.lane] = step.functions
        text = f"{step.operation} {changed(step.before, step.after)}"
        lines.append(_line(str(number), trace, step.lane, "  " * len(step.functions) + text, width))
    return "\n".join(lines)


def changed(before: str, after: str) -> str:
    """An object before and after: words that changed are shown as old->new."""
    if not after or before == after:
        return before
    old, new = before.split(" "), after.split(" ")
    if len(old) != len(new):
        return f"{before} -> {after}"
    return " ".join(
        one if one == other else f"{one.rstrip(',)')}->{other}"
        for one, other in zip(old, new, strict=True)
    )


def _line(number: str, trace: Trace, lane: int, text: str, width: int) -> str:
    cells = [" " * width for _ in trace.columns]
    if len(text) > width and lane < len(trace.columns) - 1:
        text = text[: width - 3] + "..."
    cells[lane] = text.ljust(width)
    return f"{number:>4} " + " | ".join(cells).rstrip()
