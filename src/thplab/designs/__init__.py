# SPDX-License-Identifier: GPL-2.0-only
"""The designs of the deferred split queue; loads one by name or from a file.

A design of your own is a subclass of :class:`DeferredSplitQueue`; docs/designs.md shows one.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from thplab.errors import DesignError
from thplab.kernel_version import version_of
from thplab.mm.deferred_split import DeferredSplitQueue

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "DeferredSplitQueue",
    "Design",
    "load",
    "names",
    "of_version",
    "shipped",
    "ships",
    "title",
]

_REQUIRED = ("enqueue", "unqueue", "count_objects", "scan_objects", "freeze")


Design = str | type[DeferredSplitQueue]
"""A name of :func:`names`, "file.py:Class", or a class."""


@cache
def shipped() -> dict[str, type[DeferredSplitQueue]]:
    """The designs that ship, by name, the oldest kernel's first: each file in this folder is one."""
    found = {name: _in_module(name) for name in _files()}
    return dict(sorted(found.items(), key=lambda item: _age(item[1])))


@cache
def _files() -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(__path__))


def names() -> list[str]:
    """The designs that ship, oldest kernel first, then those that other packages offer."""
    offered = {point.name for point in _entry_points()}
    return [*shipped(), *sorted(offered - set(shipped()))]


def _entry_points() -> Iterable[EntryPoint]:
    # Imported here, because this import takes longer than that of all designs.
    from importlib.metadata import entry_points

    return entry_points(group="thplab.designs")


def of_version(version: tuple[int, int]) -> str:
    """The design of a release, by its version as (major, minor).

    Raises:
        DesignError: the release is older than all of them.
    """
    found = ""
    for name, kind in shipped().items():
        if kind.since and version_of(kind.since) <= version:
            found = name
    if not found:
        raise DesignError(
            f"no design is that of Linux {version[0]}.{version[1]}: the oldest is of 5.4"
        )
    return found


def load(spec: Design) -> type[DeferredSplitQueue]:
    """The class of a design. A file is executed once, unless it has changed since.

    Raises:
        DesignError: there is no such design, the file cannot be imported, or the class lacks a method.
    """
    if ships(spec):
        return _in_module(str(spec))
    if not isinstance(spec, str):
        return _checked(spec, title(spec))
    return _checked(_from_file(spec) if ":" in spec else _from_entry_point(spec), spec)


def ships(spec: Design) -> bool:
    """Whether the design comes with thplab: each file in this folder is one."""
    return isinstance(spec, str) and spec in _files()


def title(spec: Design) -> str:
    """The name of a design in tables and messages."""
    return spec.rpartition(":")[2] if isinstance(spec, str) else spec.__name__


def _in_module(name: str) -> type[DeferredSplitQueue]:
    """The design in a file of this folder: the class that the file defines."""
    module = importlib.import_module(f"{__name__}.{name}")
    (found,) = _classes_of(module)
    return found


def _classes_of(module: ModuleType) -> list[type[DeferredSplitQueue]]:
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, DeferredSplitQueue)
        and value.__module__ == module.__name__
    ]


def _age(kind: type[DeferredSplitQueue]) -> tuple[int, int]:
    """Sort by the first release; a design of no release comes last."""
    return version_of(kind.since or "999.0")


def _from_entry_point(spec: str) -> object:
    for point in _entry_points():
        if point.name == spec:
            try:
                return point.load()
            except Exception as error:
                raise DesignError(
                    f"design {spec}: {point.value} cannot be loaded: {type(error).__name__}: {error}"
                ) from error
    raise DesignError(
        f"design {spec!r} is not known; there are {', '.join(names())}, or file.py:Class"
    )


def _from_file(spec: str) -> object:
    file, _, name = spec.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise DesignError(f"design {spec}: there is no file {file}; write file.py:Class")
    module = _module_of(path, path.stat().st_mtime_ns)
    if not hasattr(module, name):
        classes = [kind.__name__ for kind in _classes_of(module)]
        hint = f"; it has {', '.join(classes)}" if classes else ""
        raise DesignError(f"design {spec}: {file} has no class {name}{hint}")
    return getattr(module, name)


@lru_cache(maxsize=64)
def _module_of(path: Path, changed: int) -> ModuleType:
    """A user's file as a module, executed once for each time `changed`."""
    del changed
    name = f"thplab_design_{path.stem}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise DesignError(f"design {path}: it is not a Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise DesignError(f"design {path}: it raised {type(error).__name__}: {error}") from error
    return module


def _checked(found: object, spec: str) -> type[DeferredSplitQueue]:
    """The class that `spec` stands for, which must be a design.

    Raises:
        DesignError: it is no subclass of DeferredSplitQueue, or lacks a method.
    """
    if not inspect.isclass(found) or not issubclass(found, DeferredSplitQueue):
        raise DesignError(
            f"design {spec}: it must be a subclass of thplab.designs.DeferredSplitQueue"
        )
    missing = [
        name for name in _REQUIRED if getattr(found, name) is getattr(DeferredSplitQueue, name)
    ]
    if missing:
        raise DesignError(
            f"design {spec}: it lacks {', '.join(missing)}; see DeferredSplitQueue for what each does"
        )
    return found
