# SPDX-License-Identifier: Apache-2.0
"""Reads records, and refuses what is none with one line that says why."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.plumbing import safe_read
from harness.plumbing.errors import RecordError
from harness.results.schema import COLLECTION, FORMAT, INVALID, VERSION, Document, flaw

_MANY_DIGITS = 300  # below that, no integer is beyond a float's range
_LARGEST = 1 << 30  # bytes; its numbers take five times as many in memory
_OLD_FORMAT = "hostroute-bench"  # version 1 was called so


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
        os.scandir(directory).close()  # rglob takes one that it may not read for an empty one
        found = [
            path
            for path in directory.rglob("run-*.json")
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


def read(path: Path) -> Document:
    """Read a record.

    Raises:
        RecordError: It is not there, cannot be read, is cut off, is no record of ours, is of
            another version, or breaks the schema.
    """
    records = _records(path)
    if len(records) != 1:
        raise RecordError(f"{path} holds {len(records)} records", f"name one, as in {path}#ID")
    return records[0]


def read_all(paths: Iterable[Path]) -> list[Document]:
    """The records in files, merged files and directories; one that is in two of them comes once.

    Raises:
        RecordError: As for `read`; or a directory holds none; or two that differ share an id.
    """
    found: dict[str, Document] = {}
    for path in paths:
        for file in files(path):
            for record in _records(file):
                if found.setdefault(record["id"], record) != record:
                    raise RecordError(
                        f"{file}: another record with the id {record['id']} was read before",
                        "one of them was changed by hand; leave it out",
                    )
    return list(found.values())


def _records(path: Path) -> list[Document]:
    """A file's only record, or those of a merged one."""
    document = _load(path)
    if not isinstance(document, dict):
        raise _foreign(path, "it holds no JSON object")
    _check_version(path, document)
    problem = flaw(document)
    if problem:
        raise RecordError(f"{path} is a damaged record ({problem})", "restore it, or leave it out")
    return list(document["records"]) if document["format"] == COLLECTION else [document]


def _check_version(path: Path, document: Document) -> None:
    name, version = document.get("format"), document.get("version")
    if name not in (FORMAT, COLLECTION, _OLD_FORMAT) or type(version) is not int:
        raise _foreign(path, f"its format is {str(name)[:40]!r}")
    if name == _OLD_FORMAT or version < VERSION:
        raise RecordError(
            f"{path} is a record of version {version}, and version {VERSION} is read here",
            "measure again: the older ones lack what a comparison must know",
        )
    if version > VERSION:
        raise RecordError(
            f"{path} is a record of version {version}, newer than {VERSION}, the newest known here",
            "read it with the hostroute that wrote it, or a later one",
        )


def _load(path: Path) -> object:
    with readable(path):
        if not path.exists() or path.is_file():
            text = safe_read.read(path, _LARGEST, follow=True)
        else:
            raise RecordError(f"{path} is not a file", "name a record file")
    try:
        return json.loads(
            text.decode(), parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        why = f"{error.msg} at byte {error.pos} of {len(text)}"
    except UnicodeDecodeError as error:
        why = f"no UTF-8 at byte {error.start} of {len(text)}"
    except (ValueError, RecursionError) as error:
        why = str(error)
    raise RecordError(f"{path} is not whole JSON ({why})", "it was cut off, or never was a record")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:40]} is beyond the range of numbers")
    return value


def _whole(digits: str) -> int:
    """An integer that is within a float's range too: there are ratios to be made."""
    value = int(digits)
    if len(digits) >= _MANY_DIGITS:
        _finite(digits)
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _foreign(path: Path, why: str) -> RecordError:
    return RecordError(f"{path} is no record of hostroute ({why})", "name a run-*.json file")


def _unreadable(path: Path, error: OSError) -> RecordError:
    return RecordError(f"cannot read {path} ({error.strerror})", "name a record that can be read")
