# SPDX-License-Identifier: Apache-2.0
"""Records: one JSON file for each run, whole or not there at all, never overwritten. Floor 7."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness import __version__
from harness.bench.environment import machine_facts
from harness.errors import RecordError

FORMAT = "hostroute-record"
VERSION = 2


def begin(directory: Path, command: Sequence[str], seed: int | None = None) -> dict[str, object]:
    """The document of a run that begins now."""
    del directory
    return {
        "format": FORMAT,
        "version": VERSION,
        "harness": __version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "partial": None,
        "command": list(command),
        "git": {"commit": None, "dirty": None},
        "seed": seed,
        "machine": machine_facts(),
        **{part: [] for part in ("comparisons", "summary", "growth", "conformance", "exact")},
    }


def write(directory: Path, record: Mapping[str, object]) -> Path:
    """Write a record under a name that holds the time, the kernel and a random part.

    It appears by link(2), which refuses a name that is taken, after fsync(2): a reader finds
    either the whole record or none.

    Returns:
        The file.

    Raises:
        RecordError: The directory cannot be written, the disk is full, or the record holds what
            JSON has not. Nothing is left behind.
    """
    kernel = os.uname().release
    stem = f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{kernel}-{os.urandom(3).hex()}"
    record = {**record, "id": stem, "ended": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        text = json.dumps(record, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise RecordError(f"the record cannot be written as JSON ({error})") from None
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{stem}-", dir=directory)
        try:
            os.fchmod(handle, 0o644)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            final = directory / f"{stem}.json"
            os.link(draft, final)
        finally:
            Path(draft).unlink(missing_ok=True)
        _sync_directory(directory)
    except OSError as error:
        raise RecordError(
            f"cannot write a record into {directory} ({error.strerror})",
            "make room, or name a directory that can be written",
        ) from None
    return final


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
