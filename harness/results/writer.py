# SPDX-License-Identifier: Apache-2.0
"""Writes records: whole or not there at all, never over another, and never lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from harness import __version__
from harness.plumbing.errors import RecordError
from harness.plumbing.safe_write import publish
from harness.results.assertion import Assertion, TestOutcome
from harness.results.checkout import git_state
from harness.results.comparison import Comparison, Gain
from harness.results.decode import NoRecordError, as_far_as_json, decode, encode
from harness.results.growth import Growth
from harness.results.implementation import Implementation
from harness.results.provenance import machine_facts
from harness.results.run import VERSION, Collection, ExactFigure, Git, MachineFacts, Run

#: How the file of a record ends that breaks the schema, and is kept all the same.
INVALID = ".invalid.json"
_TRIES = 16  # names tried before giving up: two of one second share one in 16 million
_MEMORY = Path("/dev/shm")  # a tmpfs on every Linux with a C library: no disk can fill it
#: What `hostroute kernels` calls its runs, in the environment of each guest.
BATCH = "HOSTROUTE_BATCH"


@dataclass
class Draft:
    """A run's record while the run lasts: what is known beforehand, and lists that fill.

    Its attributes are those of `Run`.
    """

    command: Sequence[str]
    git: Git
    machine: MachineFacts
    started: str
    seed: int | None = None
    batch: str | None = None
    partial: str | None = None
    comparisons: list[Comparison] = field(default_factory=list)
    summary: list[Gain] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    conformance: list[Assertion] = field(default_factory=list)
    exact: list[ExactFigure] = field(default_factory=list)
    others: list[TestOutcome] = field(default_factory=list)
    datapaths: list[Implementation] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether anything was."""
        return bool(self.comparisons or self.growth or self.exact)

    def ended(self) -> Run:
        """The run, which ends now; its id is chosen when it is written."""
        return Run(
            version=VERSION, id="", harness=__version__, started=self.started, ended=_now(),
            partial=self.partial, command=list(self.command), git=self.git, batch=self.batch,
            seed=self.seed, machine=self.machine, comparisons=self.comparisons,
            summary=self.summary, growth=self.growth, conformance=self.conformance,
            exact=self.exact, others=self.others, datapaths=self.datapaths,
        )  # fmt: skip


def begin(directory: Path, command: Sequence[str], seed: int | None = None) -> Draft:
    """The draft of a run that begins now.

    Args:
        directory: The checkout that runs.
        command: How it was started.
        seed: What decides the order of builds and rounds.
    """
    return Draft(
        command, git_state(directory), machine_facts(), _now(), seed,
        batch=os.environ.get(BATCH) or None,
    )  # fmt: skip


def write(directory: Path, run: Run) -> Path:
    """Write the record of a run that has ended.

    Args:
        directory: Made if it is not there.
        run: The record; its `id` is chosen here.

    Returns:
        The file, named after the id.

    Raises:
        RecordError: It breaks the schema, or cannot be written there. What was measured is kept
            all the same wherever that is possible, and the error says where.
    """
    for _ in range(_TRIES):
        stem = f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.uname().release}-{os.urandom(3).hex()}"
        text, problem = _serialised(replace(run, id=stem))
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


def merge(records: Iterable[Run], path: Path) -> None:
    """Write records of several runs into one file.

    Raises:
        RecordError: The file exists already, or cannot be written.
    """
    text = encode(Collection(version=VERSION, records=list(records)))
    try:
        if path.is_dir():
            raise RecordError(f"{path} is a directory", "name a new file")
        publish(path, text.encode())
    except FileExistsError:
        raise RecordError(f"{path} exists already", "name a new file") from None
    except OSError as error:
        raise _cannot_write(path, error, "make room, or name a file that can be written") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _serialised(run: Run) -> tuple[str, str]:
    """The text of a record, and what is wrong with it."""
    try:
        text = encode(run)
    except (TypeError, ValueError) as error:
        return as_far_as_json(run), str(error)
    try:
        decode(text.encode())
    except NoRecordError as error:
        return text, str(error)
    return text, ""


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
