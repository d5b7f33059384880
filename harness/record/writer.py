# SPDX-License-Identifier: Apache-2.0
"""Writes records: whole or not there at all, never over another, and never lost. Floor 6."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import __version__
from harness.errors import RecordError
from harness.record.checkout import git_state
from harness.record.environment import machine_facts
from harness.record.schema import COLLECTION, FORMAT, INVALID, VERSION, Document, flaw
from harness.safe_write import publish

_TRIES = 16  # names tried before giving up: two of one second share one in 16 million
_MEMORY = Path("/dev/shm")  # a tmpfs on every Linux with a C library: no disk can fill it
#: What `hostroute kernels` calls its runs, in the environment of each guest.
BATCH = "HOSTROUTE_BATCH"


def begin(directory: Path, command: Sequence[str], seed: int | None = None) -> Document:
    """The document of a run that begins now: what is known beforehand, and every list empty.

    Args:
        directory: The checkout that runs.
        command: How it was started.
        seed: What decides the order of builds and rounds.
    """
    return {
        "format": FORMAT,
        "version": VERSION,
        "harness": __version__,
        "started": _now(),
        "partial": None,
        "command": list(command),
        "git": git_state(directory),
        "batch": os.environ.get(BATCH) or None,
        "seed": seed,
        "machine": machine_facts(),
        **{part: [] for part in ("comparisons", "summary", "growth", "conformance", "exact")},
    }


def write(directory: Path, document: Mapping[str, Any]) -> Path:
    """Write the record of a run that has ended.

    Args:
        directory: Made if it is not there.
        document: All of a record but its `id`, which is chosen here, and perhaps its `ended`.

    Returns:
        The file, named after the id.

    Raises:
        RecordError: It breaks the schema, or cannot be written there. What was measured is kept
            all the same wherever that is possible, and the error says where.
    """
    whole = {**document, "ended": document.get("ended") or _now()}
    for _ in range(_TRIES):
        stem = f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.uname().release}-{os.urandom(3).hex()}"
        whole["id"] = stem
        text, problem = _serialised(whole)
        name = f"{stem}{INVALID}" if problem else f"{stem}.json"
        try:
            path = directory / name
            publish(path, text.encode())
        except FileExistsError:
            continue
        except OSError as error:
            raise _kept_elsewhere(directory, name, text, error) from None
        if problem:
            raise RecordError(
                f"the record of this run is not valid ({problem}); it was kept as {path}",
                "report it: the harness is at fault",
            )
        return path
    raise RecordError(f"no free name for a record in {directory}", "name another directory")


def merge(records: Iterable[Document], path: Path) -> None:
    """Write records of several runs into one file.

    Raises:
        RecordError: The file exists already, or cannot be written.
    """
    document = {"format": COLLECTION, "version": VERSION, "records": list(records)}
    try:
        if path.is_dir():
            raise RecordError(f"{path} is a directory", "name a new file")
        publish(path, json.dumps(document, allow_nan=False).encode())
    except FileExistsError:
        raise RecordError(f"{path} exists already", "name a new file") from None
    except OSError as error:
        raise _cannot_write(path, error, "make room, or name a file that can be written") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _serialised(document: Document) -> tuple[str, str]:
    """The text of a record, and what is wrong with it."""
    try:
        text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        return json.dumps(document, default=repr, skipkeys=True), str(error)
    return text, flaw(json.loads(text))  # as a reader will have it: tuples are arrays by then


def _kept_elsewhere(directory: Path, name: str, text: str, error: OSError) -> RecordError:
    """Minutes of measuring are not given up for a full disk: try the temporary directory, memory.

    The temporary directory may be on that disk too, and is then none: it is asked for by writing.
    """
    failed = []
    for refuge in (tempfile.gettempdir, lambda: str(_MEMORY)):
        place = "a temporary directory"
        try:
            place = refuge()
            kept = Path(place) / name
            publish(kept, text.encode())
        except OSError as other:
            failed.append(f"nor into {place} ({other.strerror})")
        else:
            lasts = ", before the machine goes down" if kept.parent == _MEMORY else ""
            todo = f"it was kept as {kept}: make room, and move it where it belongs{lasts}"
            return _cannot_write(directory, error, todo)
    return _cannot_write(directory, error, f"{', '.join(failed)}: make room")


def _cannot_write(path: Path, error: OSError, todo: str) -> RecordError:
    return RecordError(f"cannot write a record into {path} ({error.strerror})", todo)
