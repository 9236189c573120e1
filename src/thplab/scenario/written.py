# SPDX-License-Identifier: GPL-2.0-only
"""Values that are text in a file and objects in the program, which decodes each once, when it reads the file.

A size ("2M"), a part ("first page of each huge page"), a figure's path, an expectation, the settings
of a host: each is a class here or in the module that owns it. msgspec finds them through the three hooks.
"""

from __future__ import annotations

from typing import Any, Self

__all__ = ["Written", "decode_hook", "encode_hook", "schema_hook"]


class Written:
    """A decoded value of a file. Equal text gives equal objects; they never change."""

    __slots__ = ()

    @classmethod
    def parse(cls, value: object) -> Self:
        """The object that a value of a file stands for.

        Raises:
            ValueError: it stands for none; the message says what would be right after a ";".
            ScenarioError: the same, where the mistake lies deeper in a table.
        """
        raise NotImplementedError(cls.__name__)

    def written(self) -> object:
        """The value that :meth:`parse` turns back into this object."""
        raise NotImplementedError(type(self).__name__)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """What an editor may accept in its place."""
        raise NotImplementedError(cls.__name__)


def decode_hook(kind: type[Any], value: object) -> object:
    """Msgspec's dec_hook."""
    if issubclass(kind, Written):
        return kind.parse(value)
    raise NotImplementedError(kind.__name__)


def encode_hook(value: object) -> object:
    """Msgspec's enc_hook."""
    if isinstance(value, Written):
        return value.written()
    raise NotImplementedError(type(value).__name__)


def schema_hook(kind: type[Any]) -> dict[str, Any]:
    """Msgspec's schema_hook."""
    if issubclass(kind, Written):
        return kind.json_schema()
    raise NotImplementedError(kind.__name__)
