# SPDX-License-Identifier: GPL-2.0-only
"""The designs of the deferred split queue, and loading one by name or from a file.

A design of your own is a subclass of :class:`DeferredSplitQueue`; docs/designs.md shows one.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
from pathlib import Path

from thplab.errors import DesignError
from thplab.mm.deferred_split import DeferredSplitQueue

__all__ = ["DeferredSplitQueue", "checked", "load", "names"]

_SHIPPED = {
    "split_queue": "thplab.designs.split_queue:SplitQueue",
    "split_queue_reparented": "thplab.designs.split_queue_reparented:SplitQueueReparented",
    "list_lru": "thplab.designs.list_lru:ListLruQueue",
    "list_lru_v1": "thplab.designs.list_lru_v1:ListLruQueueV1",
}

_REQUIRED = ("enqueue", "unqueue", "count_objects", "scan_objects", "freeze")


def names() -> list[str]:
    """The designs that ship, oldest kernel first, then those that other packages offer."""
    offered = importlib.metadata.entry_points(group="thplab.designs")
    return [*_SHIPPED, *sorted({point.name for point in offered} - set(_SHIPPED))]


def load(spec: str) -> type[DeferredSplitQueue]:
    """The class of a design.

    Args:
        spec: a name of :func:`names`, or "file.py:Class".

    Raises:
        DesignError: there is no such design, the file cannot be imported, or the class lacks a method.
    """
    if spec in _SHIPPED:
        module, _, name = _SHIPPED[spec].partition(":")
        found = getattr(importlib.import_module(module), name)
    elif ":" in spec:
        found = _from_file(spec)
    else:
        found = _from_entry_point(spec)
    return checked(found, spec)


def _from_entry_point(spec: str) -> object:
    for point in importlib.metadata.entry_points(group="thplab.designs"):
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
    module_name = f"thplab_design_{path.stem}"
    found = importlib.util.spec_from_file_location(module_name, path)
    if found is None or found.loader is None:
        raise DesignError(f"design {spec}: {file} is not a Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module
    try:
        found.loader.exec_module(module)
    except Exception as error:
        raise DesignError(
            f"design {spec}: {file} raised {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, name):
        classes = [
            key
            for key, value in vars(module).items()
            if inspect.isclass(value)
            and issubclass(value, DeferredSplitQueue)
            and value.__module__ == module_name
        ]
        hint = f"; it has {', '.join(classes)}" if classes else ""
        raise DesignError(f"design {spec}: {file} has no class {name}{hint}")
    return getattr(module, name)


def checked(found: object, spec: str) -> type[DeferredSplitQueue]:
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
