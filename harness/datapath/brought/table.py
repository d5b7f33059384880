# SPDX-License-Identifier: Apache-2.0
"""A TOML table, read key by key; what is wrong with it is one line with file, table and key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from harness.datapath.brought.description import DescriptionError

_Kind = TypeVar("_Kind")
_KINDS = {str: "a text", bool: "true or false", dict: "a table", list: "a list", int: "a number"}


class Table:
    """A table of a description.

    Args:
        file: The file's name, for messages.
        title: The table's, such as `[datapath]`; empty: the whole file.
        values: What is in it.
    """

    def __init__(self, file: str, title: str, values: Mapping[str, Any]) -> None:
        self.file, self.title = file, title
        self._left = dict(values)

    def where(self, key: str = "") -> str:
        """File, table and key, as messages begin."""
        return f"{self.file}: {' '.join(filter(None, (self.title, key)))}".rstrip(": ")

    def fail(self, key: str, what: str, todo: str = "") -> NoReturn:
        """Refuse a key.

        Raises:
            DescriptionError: Always.
        """
        raise DescriptionError(f"{self.where(key)}: {what}", todo)

    def take(self, key: str, kind: type[_Kind], default: _Kind | None = None) -> _Kind:
        """A key's value, of that type; without a default it has to be there."""
        if key not in self._left:
            if default is None:
                self.fail(key, "is missing", f"add {_KINDS[kind]}")
            return default
        value = self._left.pop(key)
        if type(value) is not kind:
            self.fail(key, f"{value!r} is not {_KINDS[kind]}")
        return value

    def any(self, key: str) -> Any:
        """A key's value, of any type."""
        if key not in self._left:
            self.fail(key, "is missing")
        return self._left.pop(key)

    def name(self, key: str, default: str | None = None) -> str:
        """A text of one line that is not empty."""
        value = self.take(key, str, default)
        if value is not default and (not value.strip() or not value.isprintable()):
            self.fail(key, f"{value!r} is not one line of text")
        return value

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> Any:
        """A text that is one of some."""
        value = self.take(key, str, default)
        if value not in choices:
            self.fail(key, f"{value!r} is unknown", f"use {' or '.join(choices)}")
        return value

    def names(self, key: str, known: Sequence[str], default: Sequence[str] | None) -> list[str]:
        """A list of texts that are each one of some."""
        value = self.take(key, list, None if default is None else list(default))
        for one in value:
            if one not in known:
                self.fail(key, f"{one!r} is unknown", f"use {', '.join(known)}")
        return value

    def texts(self, key: str, default: Sequence[str] | None = None) -> list[str]:
        """A list of texts."""
        value = self.take(key, list, None if default is None else list(default))
        for one in value:
            if not isinstance(one, str) or "\0" in one:
                self.fail(key, f"{one!r} is not a text")
        return value

    def table(self, key: str) -> Table:
        """A table within, empty if it is not there."""
        inside = f"{self.title[:-1]}.{key}]" if self.title.endswith("]") else f"{self.title} {key}"
        title = inside if self.title else f"[{key}]"
        return Table(self.file, title, self.take(key, dict, {}))

    def tables(self, key: str) -> list[Table]:
        """An array of tables, empty if it is not there."""
        found = self.take(key, list, [])
        for value in found:
            if not isinstance(value, dict):
                self.fail(key, "is not an array of tables", f"write [[{key}]]")
        return [
            Table(self.file, f"[[{key}]] {number}:", value) for number, value in enumerate(found, 1)
        ]

    def rest(self) -> dict[str, Any]:
        """Every key that nobody took."""
        rest, self._left = self._left, {}
        return rest

    def has(self, key: str) -> bool:
        """Whether a key is there, and nobody took it."""
        return key in self._left

    def end(self, known: Sequence[str]) -> None:
        """Refuse keys that nobody took."""
        for key in self._left:
            self.fail(key, "is unknown", f"use {', '.join(known)}")
