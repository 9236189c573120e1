# SPDX-License-Identifier: GPL-2.0-only
"""Decodes the tables of a scenario file into typed structs; names the place and the remedy of each mistake."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import FieldInfo, fields

from thplab.scenario.braces import expand
from thplab.scenario.errors import ScenarioError
from thplab.scenario.host import Host, Task
from thplab.scenario.naming import check_cgroup_path, check_name, listed, meant, quoted
from thplab.scenario.schema import Claim, Scenario
from thplab.scenario.step import Step
from thplab.scenario.steps import STEPS
from thplab.scenario.tunables import CgroupSettings
from thplab.scenario.written import decode_hook

__all__ = ["decode", "make_step", "make_struct"]

MOST_STEPS = 50_000
MOST_GROUPS = 20_000

_Decoded = TypeVar("_Decoded")

_PLAIN_WORDS = {
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "float": "a number with a fraction",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
    "datetime": "a date",
    "date": "a date",
    "time": "a time",
}
_AT = re.compile(r"^(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)


def decode(tables: dict[str, Any]) -> Scenario:
    """Decode each table of a file by itself; the caller checks the Scenario as a whole.

    Raises:
        ScenarioError: an unknown key, a missing one, or a value of the wrong kind.
    """
    known = [field.encode_name for field in fields(Scenario) if field.name != "origins"]
    _check_keys(tables, known, ("name", "summary", "host", "steps"), "")
    steps, origins = _steps(_tables_list(tables["steps"], "steps"))
    claims = _tables_list(tables.get("claims", []), "claims")
    return Scenario(
        name=_text(tables["name"], "name"),
        summary=_text(tables["summary"], "summary"),
        host=make_struct(tables["host"], Host, "host"),
        cgroups=_cgroups(_table(tables.get("cgroups", {}), "cgroups")),
        tasks=_tasks(_table(tables.get("tasks", {}), "tasks")),
        steps=steps,
        claims=tuple(
            make_struct(claim, Claim, f"claim {number}")
            for number, claim in enumerate(claims, start=1)
        ),
        origins=origins if len(origins) and origins[-1] != len(origins) else (),
    )


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise ScenarioError(f"{key} is {_kind(value)}", "it is text, in quotes")
    return value


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ScenarioError(
            f"expected a table, got {_kind(value)}", f"begin it with [{where}]", where
        )
    return value


def _tables_list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ScenarioError(
            f"expected tables, got {_kind(value)}", f"begin each with [[{where}]]", where
        )
    return value


def _kind(value: object) -> str:
    for kind, words in (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a number with a fraction"),
        (str, "text"),
        (list, "a list"),
        (dict, "a table"),
    ):
        if isinstance(value, kind):
            return words
    return "a date or a time"


def _cgroups(tables: dict[str, Any]) -> dict[str, CgroupSettings]:
    cgroups: dict[str, CgroupSettings] = {}
    for path, cgroup in _named(tables, "cgroup"):
        where = f"cgroup {quoted(path)}"
        check_cgroup_path(path, where)
        if path == "/":
            raise ScenarioError(
                "the root cgroup is always there and has no limits", "leave it out", where
            )
        _add(cgroups, path, make_struct(cgroup, CgroupSettings, where), where)
    return _with_parents(cgroups)


def _with_parents(cgroups: dict[str, CgroupSettings]) -> dict[str, CgroupSettings]:
    """The same cgroups, each after its parents; parents that the file leaves out have no limits."""
    complete: dict[str, CgroupSettings] = {}
    for path, cgroup in cgroups.items():
        end = path.find("/", 1)
        while end != -1:
            parent = path[:end]
            complete.setdefault(parent, cgroups.get(parent) or CgroupSettings())
            end = path.find("/", end + 1)
        complete[path] = cgroup
    return complete


def _tasks(tables: dict[str, Any]) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    for name, task in _named(tables, "task"):
        where = f"task {quoted(name)}"
        check_name(name, "task", where)
        _add(tasks, name, make_struct(task, Task, where), where)
    return tasks


def _add(known: dict[str, _Decoded], name: str, value: _Decoded, where: str) -> None:
    if name in known:
        raise ScenarioError("the name occurs twice", "give each its own name", where)
    if len(known) >= MOST_GROUPS:
        raise ScenarioError(
            f"the file has more than {MOST_GROUPS} of this kind", "leave some out", where
        )
    known[name] = value


def _named(tables: dict[str, Any], kind: str) -> list[tuple[str, Any]]:
    """The entries of a table, with ranges in braces written out."""
    entries: list[tuple[str, Any]] = []
    for name, value in tables.items():
        for entry in _expanded({name: value}, f"{kind} {quoted(name)}"):
            entries.extend(entry.items())
    return entries


def _expanded(table: dict[str, Any], where: str) -> list[dict[str, Any]]:
    try:
        return expand(table)
    except ScenarioError as error:
        error.where = where
        raise


def make_step(do: str, **fields: object) -> Step:
    """Make one step from the fields that a file would give.

    Raises:
        ScenarioError: there is no such step, or a field is unknown, missing or of the wrong kind.
    """
    _, kind = _step_kind({"do": do}, "")
    return make_struct({"do": do, **fields}, kind, do)


def _steps(tables: Sequence[Any]) -> tuple[tuple[Step, ...], tuple[int, ...]]:
    steps: list[Step] = []
    origins: list[int] = []
    for number, table in enumerate(tables, start=1):
        where, kind = _step_kind(table, f"step {number}")
        for each in _expanded(table, where):
            steps.append(make_struct(each, kind, where))
            origins.append(number)
        if len(steps) > MOST_STEPS:
            raise ScenarioError(
                f"there are more than {MOST_STEPS} steps up to here",
                "make the ranges shorter",
                where,
            )
    return tuple(steps), tuple(origins)


def _step_kind(table: object, where: str) -> tuple[str, type[Step]]:
    """The place of a step as messages name it, and its struct."""
    if not isinstance(table, dict):
        raise ScenarioError(
            f"expected a table, got {_kind(table)}", "begin each step with [[steps]]", where
        )
    do = table.get("do")
    if do is None:
        raise ScenarioError(
            'the key "do" is missing',
            f"say what happens: {listed(STEPS, len(STEPS))}",
            where,
        )
    if not isinstance(do, str) or do not in STEPS:
        remedy = meant(str(do)[:200], STEPS, "steps")
        raise ScenarioError(f"there is no step {quoted(do)}", remedy, where)
    return f"{where} ({do})", STEPS[do]


def make_struct(table: object, kind: type[_Decoded], where: str) -> _Decoded:
    if not isinstance(table, dict):
        raise ScenarioError(
            f"expected a table, got {_kind(table)}", "write { key = value, ... }", where
        )
    try:
        return msgspec.convert(table, kind, dec_hook=decode_hook)
    except ScenarioError as error:
        # It comes from deep in a table: it knows the place there, but not whose table it is.
        error.where = ", ".join(part for part in (where, error.where) if part)
        raise
    except msgspec.ValidationError as error:
        _check_table(table, kind, where)
        raise _explained(str(error), kind, where) from None


def _check_table(table: dict[str, Any], kind: type[Any], where: str) -> None:
    """Name the unknown and the missing keys of a table and of the tables in it."""
    if not issubclass(kind, msgspec.Struct):
        return
    known: dict[str, FieldInfo] = {field.encode_name: field for field in fields(kind)}
    tag = kind.__struct_config__.tag_field
    names = [*known, tag] if tag else list(known)
    _check_keys(table, names, [name for name, field in known.items() if field.required], where)
    for name, field in known.items():
        inner = _inner_struct(field.type)
        if inner is not None and isinstance(table.get(name), dict):
            _check_table(table[name], inner, f"{where}, {name}")


def _inner_struct(annotation: object) -> type[msgspec.Struct] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None


def _check_keys(
    table: dict[str, Any], known: Sequence[str], required: Sequence[str], where: str
) -> None:
    for key in table:
        if key not in known:
            raise ScenarioError(f"unknown key {quoted(key)}", meant(key, known, "keys"), where)
    for key in required:
        if key not in table:
            raise ScenarioError(
                f"the key {quoted(key)} is missing", f"the keys are {listed(known, 20)}", where
            )


def _explained(message: str, kind: type[Any], where: str) -> ScenarioError:
    """A complaint of msgspec in the words of a scenario file."""
    match = _AT.match(message)
    problem, path = (match["problem"], match["path"] or "") if match else (message, "")
    expected = re.match(r"Expected `(.*?)`, got `(.*?)`", problem)
    if expected:
        wanted = " or ".join(
            _PLAIN_WORDS.get(word, word) for word in expected[1].split(" | ") if word != "null"
        )
        got = _PLAIN_WORDS.get(expected[2], expected[2])
        return ScenarioError(f"{path} is {got}", f"it must be {wanted}", where)
    invalid = re.match(r"Invalid enum value '?(.*?)'?$", problem, re.DOTALL)
    if invalid:
        remedy = meant(invalid[1][:200], _choices(kind, path), "choices")
        return ScenarioError(f"{path} cannot be {quoted(invalid[1])}", remedy, where)
    problem, _, remedy = problem.partition("; ")
    return ScenarioError(f"{path}: {problem}" if path else problem, remedy, where)


def _choices(kind: type[Any], path: str) -> list[str]:
    """The words that the field at `path` ("policy.mode") may have."""
    annotation: Any = kind
    for name in path.split("."):
        struct = _inner_struct(annotation)
        if struct is None:
            return []
        names = {field.encode_name: field.name for field in fields(struct)}
        annotation = get_type_hints(struct)[names[name]]
    if get_origin(annotation) is not Literal:
        annotation = next((a for a in get_args(annotation) if get_origin(a) is Literal), None)
    return [str(choice) for choice in get_args(annotation)]
