# SPDX-License-Identifier: Apache-2.0
"""Tables that other packages add to: testbeds, datapaths, measures.

A package adds an entry by an entry point, whose name is the entry's and whose value is the object;
it is imported when the entry is first asked for. A conftest.py adds one by calling `register`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import cached_property
from importlib import metadata
from typing import TypeVar

from harness.plumbing.errors import RegistryError, UnknownNameError, reason

_Entry = TypeVar("_Entry")


class Registry(MutableMapping[str, _Entry]):
    """Name → entry: first what the harness brings, then what others registered.

    Args:
        kind: What an entry is, for messages: `testbed`.
        entry_type: The class, or the protocol, of every entry.
        bundled: What the harness itself brings.

    Attributes:
        group: The group of entry points that is read: `hostroute.testbeds`.
    """

    def __init__(
        self, kind: str, entry_type: type, bundled: Mapping[str, _Entry] | None = None
    ) -> None:
        self.kind = kind
        self.group = f"hostroute.{kind}s"
        self._type = entry_type
        self._entries: dict[str, _Entry] = dict(bundled or {})
        self._loaded: set[str] = set()

    def register(self, name: str, entry: _Entry) -> None:
        """Add an entry. Registering an equal one again changes nothing.

        Raises:
            RegistryError: Another entry has that name.
        """
        self._entries[name] = self._agreed(name, entry)

    def find(self, name: str) -> _Entry:
        """The entry of that name.

        Raises:
            UnknownNameError: There is none; the message lists the names there are.
            RegistryError: Its entry point failed, or clashes with another entry.
        """
        try:
            return self[name]
        except KeyError:
            todo = f"use {', '.join(self)}" if self else self._install_one
            raise UnknownNameError(f"{self.kind} {name!r} is unknown", todo) from None

    def names(self) -> list[str]:
        """Every name; nothing is loaded.

        Raises:
            UnknownNameError: There is none.
        """
        if not self:
            raise UnknownNameError(f"no {self.kind} is registered", self._install_one)
        return list(self)

    def loadable(self) -> dict[str, _Entry]:
        """The entries that can be loaded, for those who go through all and need none of them."""
        entries: dict[str, _Entry] = {}
        for name in self:
            with suppress(RegistryError):
                entries[name] = self[name]
        return entries

    @property
    def _install_one(self) -> str:
        return f"install a package that registers a {self.kind}"

    @cached_property
    def _points(self) -> dict[str, list[metadata.EntryPoint]]:
        points: dict[str, list[metadata.EntryPoint]] = {}
        for point in metadata.entry_points(group=self.group):
            points.setdefault(point.name, []).append(point)
        return points

    def _agreed(self, name: str, entry: _Entry) -> _Entry:
        """The entry, if no other one has its name."""
        known = self._entries.get(name, entry)
        if known is not entry and known != entry:
            raise RegistryError(
                f"{self.kind} {name!r} is registered twice, with different contents",
                "rename one, or uninstall the package that brings the other",
            )
        return known

    def _load(self, point: metadata.EntryPoint) -> _Entry:
        package = point.dist.name if point.dist is not None else "an unknown package"
        title = f"{self.kind} {point.name!r} ({point.value}, of package {package})"
        try:
            entry: _Entry = point.load()
        except Exception as error:  # noqa: BLE001  # somebody else's code may raise anything
            raise RegistryError(
                f"{title} cannot be loaded ({reason(error)})", "mend or uninstall that package"
            ) from None
        if not isinstance(entry, self._type):
            raise RegistryError(
                f"{title} is no {self._type.__name__} but {type(entry).__name__}",
                "let the entry point name the object itself",
            )
        return entry

    def __getitem__(self, name: str) -> _Entry:
        if name not in self._loaded:
            for point in self._points.get(name, ()):
                self.register(name, self._load(point))
            self._loaded.add(name)
        return self._entries[name]

    def __setitem__(self, name: str, entry: _Entry) -> None:
        self._loaded.add(name)
        self._entries[name] = entry

    def __delitem__(self, name: str) -> None:
        del self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(list(dict.fromkeys((*self._entries, *self._points))))

    def __len__(self) -> int:
        return len(self._entries.keys() | self._points.keys())

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._points
