# SPDX-License-Identifier: Apache-2.0
"""Reads records, and refuses what is none with one line that says why."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from harness.plumbing import safe_read
from harness.plumbing.errors import RecordError
from harness.results.decode import NoRecordError, decode
from harness.results.run import VERSION, Collection, Run
from harness.results.writer import INVALID

_LARGEST = 1 << 30  # bytes; its numbers take five times as many in memory


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the system has against a path into one line: no permission, too long a name.

    Raises:
        RecordError: It cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise _unreadable(path, error) from None


def find(directory: Path) -> list[Path]:
    """The record files below a directory, the oldest first; not what `write` found invalid.

    Raises:
        RecordError: It is no directory, or cannot be read.
    """
    with readable(directory):
        if not directory.is_dir():
            raise RecordError(f"{directory} is no directory", "name one that holds records")
        os.scandir(directory).close()  # os.walk takes one that it may not read for an empty one
        # A run that goes on meanwhile empties its pcaps' directories: os.walk passes over them.
        found = [
            path
            for place, _, names in os.walk(directory)
            for path in (Path(place, name) for name in names if fnmatch(name, "run-*.json"))
            if path.is_file() and not path.name.endswith(INVALID)
        ]
    return sorted(found, key=lambda path: (path.name, path))


def files(path: Path) -> list[Path]:
    """The record files that a path stands for: itself, or those below a directory.

    Raises:
        RecordError: It cannot be read, or holds none.
    """
    with readable(path):
        found = find(path) if path.is_dir() else [path]
    if not found:
        raise RecordError(f"{path} holds no records", "name a directory with run-*.json files")
    return found


def read(path: Path) -> Run:
    """Read a record.

    Raises:
        RecordError: It is not there, cannot be read, is cut off, is no record of ours, is of
            another version, or breaks the schema.
    """
    records = _records(path)
    if len(records) != 1:
        raise RecordError(f"{path} holds {len(records)} records", f"name one, as in {path}#ID")
    return records[0]


def read_all(paths: Iterable[Path]) -> list[Run]:
    """The records in files, merged files and directories; one that is in two of them comes once.

    Raises:
        RecordError: As for `read`; or a directory holds none; or two that differ share an id.
    """
    found: dict[str, Run] = {}
    for path in paths:
        for file in files(path):
            for record in _records(file):
                if found.setdefault(record.id, record) != record:
                    raise RecordError(
                        f"{file}: another record with the id {record.id} was read before",
                        "one of them was changed by hand; leave it out",
                    )
    return list(found.values())


def _records(path: Path) -> list[Run]:
    """A file's only record, or those of a merged one."""
    try:
        found = decode(_text(path))
    except NoRecordError as error:
        raise _refused(path, error) from None
    return found.records if isinstance(found, Collection) else [found]


def _text(path: Path) -> bytes:
    with readable(path):
        if not path.exists() or path.is_file():
            return safe_read.read(path, _LARGEST, follow=True)
    raise RecordError(f"{path} is not a file", "name a record file")


def _refused(path: Path, error: NoRecordError) -> RecordError:
    """Why a file is refused, and what to do."""
    return {
        "json": RecordError(
            f"{path} is not whole JSON ({error})", "it was cut off, or never was a record"
        ),
        "foreign": RecordError(
            f"{path} is no record of hostroute ({error})", "name a run-*.json file"
        ),
        "older": RecordError(
            f"{path} is a record of version {error}, and version {VERSION} is read here",
            "measure again: the older ones lack what a comparison must know",
        ),
        "newer": RecordError(
            f"{path} is a record of version {error}, newer than {VERSION}, the newest known here",
            "read it with the hostroute that wrote it, or a later one",
        ),
        "damaged": RecordError(
            f"{path} is a damaged record ({error})", "restore it, or leave it out"
        ),
    }[error.kind]


def _unreadable(path: Path, error: OSError) -> RecordError:
    return RecordError(f"cannot read {path} ({error.strerror})", "name a record that can be read")
